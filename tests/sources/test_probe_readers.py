"""`framelane probe` reads as `run` does, and says who has read what, and what to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sources.odd_camera import OddCamera, serving
from tests.sources.rtsp.scripted import ScriptedServer, always
from tests.sources.test_reader_choice import COUNT, PLAYING, to_us

from framelane.core.errors import SourceError
from framelane.demo.rtsp.packets import load_clip
from framelane.demo.rtsp.sdp import describe
from framelane.sources.probe import probe_stream, render

if TYPE_CHECKING:
    from tests.sources.conftest import Clips

    from framelane.demo.rtsp import RtspServer


@pytest.mark.parametrize(
    ("kind", "pixel_format"), [("h264", "yuv420p"), ("hevc", "yuv420p"), ("mjpeg", "yuvj420p")]
)
def test_probe_tells_codec_size_rate_clock_and_reader(
    server: RtspServer, kind: str, pixel_format: str
) -> None:
    report = probe_stream(server.url(kind), 2.0)
    assert (report.codec, report.width, report.height) == (kind, 320, 240)
    assert (report.pixel_format, report.transport, report.reader) == (pixel_format, "tcp", "framelane")
    assert report.measured_fps == pytest.approx(50.0, rel=0.05)
    assert (report.clock, report.undecodable, report.hints) == ("rtcp", 0, ())
    assert report.clock_offset_ms == pytest.approx(0.0, abs=200.0)
    assert report.frames >= 90


def test_probe_reads_by_ffmpeg_what_run_does(clips: Clips) -> None:
    report = probe_stream(str(clips.paths["h264"]), 0.5)
    assert (report.transport, report.reader, report.clock) == (None, "ffmpeg", "media")


def test_probe_says_why_ffmpeg_reads_it() -> None:
    with ScriptedServer(replies=to_us(always(status="454 Session Not Found"), "SETUP")) as odd:
        report = probe_stream(odd.url(), 0.5)
    assert (report.reader, report.codec) == ("ffmpeg", "mjpeg")
    (hint,) = report.hints
    assert hint.startswith("read by FFmpeg: its server confuses our reader: the server rejects the request")
    assert render(report).splitlines()[-1] == f"{'hint':<16} {hint}"


def test_probe_ends_with_what_it_has_seen_when_the_camera_falls_silent() -> None:
    with ScriptedServer(replies=PLAYING) as silent:
        report = probe_stream(silent.url(), 60.0)
    assert (report.reader, report.frames) == ("framelane", COUNT)


@pytest.mark.parametrize("reason", ["unauthorized", "not-found"])
def test_probe_says_what_the_camera_refuses(server: RtspServer, reason: str) -> None:
    path = {"unauthorized": "digest", "not-found": "nowhere"}[reason]
    with pytest.raises(SourceError) as caught:
        probe_stream(server.url(path).replace("admin", "nobody"), 1.0)
    assert caught.value.reason == reason


def test_probe_says_which_video_it_has_read(clips: Clips) -> None:
    clip = load_clip(clips.paths["h264"])
    two = describe(clip) + "".join(
        f"{line}\r\n" for line in ("m=video 0 RTP/AVP 97", "a=rtpmap:97 H264/90000", "a=control:other")
    )
    camera = OddCamera(clips.paths["h264"], steps=(0.02,), description=two)
    with serving(camera) as running:
        report = probe_stream(running.url("cam"), 1.0)
        assert report.hints == ("video 0 of 2 is read, counted from 0; set `video` for another",)
        assert probe_stream(running.url("cam"), 0.5, video=0).hints == ()
        with pytest.raises(SourceError, match="there is no `video: 2`"):
            probe_stream(running.url("cam"), 0.5, video=2)
