"""One connection an attempt, live with the first picture, and a word where something is awaited or late."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.odd_camera import OddCamera, serving
from tests.sources.test_rtsp_in_band import noisy_clip

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.rogue_server import Client
    from tests.sources.conftest import Clips, Watch

    from framelane.demo.rtsp import RtspServer

LATE = "frames arrive; read through FFmpeg's parser, one frame late: "


def test_camera_that_is_slow_to_describe_itself_is_live_in_one_session(clips: Clips, watch: Watch) -> None:
    """Reading times out sooner than opening."""
    with serving(OddCamera(clips.paths["h264"], description_s=1.5)) as server:
        camera = watch(server.url("cam"), open_timeout_s=20.0, read_timeout_s=0.5)
        live = camera.first("live")
        assert (live.reason, live.text, server.connections) == ("ok", "frames arrive", 1)
        camera.worker.stop(20)


def test_camera_that_never_answers_is_asked_once_an_attempt(watch: Watch) -> None:
    def silent(client: Client) -> None:
        client.pause(60)

    with serving(silent) as server:
        began_s = time.monotonic()
        camera = watch(
            server.url("cam"), open_timeout_s=1.0, read_timeout_s=0.3, backoff={"first_s": 60, "most_s": 60}
        )
        down = camera.first("down")
        assert (down.reason, down.text) == (
            "timeout",
            "the other side accepts the connection and does not answer",
        )
        assert 1.0 <= time.monotonic() - began_s < 2.0
        assert server.connections == 1
        camera.worker.stop(20)


def test_camera_that_answers_with_rubbish_is_asked_once_by_each_reader_per_attempt(watch: Watch) -> None:
    """FFmpeg may make sense of what our own reader does not."""

    def rubbish(client: Client) -> None:
        client.request()
        client.send(b"no RTSP at all\r\n\r\n" * 10)

    with serving(rubbish) as server:
        camera = watch(server.url("cam"), backoff={"first_s": 60, "most_s": 60})
        assert camera.first("down").reason == "invalid"
        assert server.connections == 2
        camera.worker.stop(20)


@pytest.mark.parametrize("kind", ["h264", "hevc", "mjpeg"])
def test_camera_is_live_with_its_first_picture_when_it_sends_few(
    tmp_path: Path, watch: Watch, kind: str
) -> None:
    """FFmpeg wants twenty pictures for their rate."""
    clip = draw_clip(tmp_path, kind, ClipShape(frames=20, fps=2))
    with serving(OddCamera(clip, steps=(0.5,))) as server:
        began_s = time.monotonic()
        camera = watch(server.url("cam"), open_timeout_s=20.0, read_timeout_s=5.0)
        camera.wait_for_frames(1)
        # The first picture of all but MJPEG is there when the second begins, as long as nothing is learnt yet.
        assert time.monotonic() - began_s < 2.5
        seen = camera.wait_for_frames(3)[2]
        assert time.time() - seen.info.captured_at < 1.5
        camera.worker.stop(20)


def test_camera_is_connecting_with_a_word_while_a_key_frame_is_awaited(tmp_path: Path, watch: Watch) -> None:
    clip = noisy_clip(tmp_path / "clip.mp4", "libx264", fps=25, frames=60)
    with serving(OddCamera(clip, first=2)) as server:
        began_s = time.monotonic()
        camera = watch(server.url("cam"), open_timeout_s=20.0)
        camera.wait_for(lambda: camera.states[-1].reason == "key-frame", "word of the key frame")
        waited_s = time.monotonic() - began_s
        camera.wait_for_state("live")
        camera.worker.stop(20)
    assert 1.0 <= waited_s < 2.3  # the key frame comes after 2.3 s
    assert [(state.state, state.reason, state.text) for state in camera.states[2:]] == [
        ("connecting", "key-frame", "waiting for a key frame; shorten the camera's GOP if this takes long"),
        ("live", "ok", "frames arrive"),
    ]


BY_FFMPEG = {"reader": "ffmpeg"}


def test_camera_says_that_it_is_late_when_it_begins_amid_a_picture_without_parameter_sets(
    tmp_path: Path, watch: Watch
) -> None:
    clip = noisy_clip(tmp_path / "clip.mp4", "libx264", frames=10)
    with serving(OddCamera(clip, first=1, lost=2, sprop=False)) as server:
        camera = watch(server.url("cam"), **BY_FFMPEG)
        live = camera.first("live")
        camera.worker.stop(20)
    why = "its session description lacks the parameter sets, and it began in the middle of a picture"
    assert live.text == f"{LATE}{why}"


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_camera_without_parameter_sets_is_read_without_the_parser_when_a_nal_unit_comes_first(
    tmp_path: Path, encoder: str, lost: int
) -> None:
    """The packet lost is a parameter set."""
    clip = noisy_clip(tmp_path / "clip.mp4", encoder, frames=10)
    parts = SourceParts(SystemClock(), Meters().stream("cam"))
    with (
        serving(OddCamera(clip, lost=lost, sprop=False)) as server,
        ContainerSource(server.url("cam"), StreamOptions(), parts) as source,
    ):
        first = next(iter(source.pictures()))
    assert (first.picture.width, source.parser_reason, server.connections) == (320, "", 1)


def test_camera_that_declares_its_rate_is_described_with_it(server: RtspServer, watch: Watch) -> None:
    camera = watch(server.url("h264"))
    camera.wait_for(lambda: camera.states[-1].details.fps == 50.0, "rate")


def test_camera_of_another_codec_goes_through_the_parser_and_says_so(tmp_path: Path, watch: Watch) -> None:
    clip = draw_clip(tmp_path, "mjpeg", ClipShape(frames=5))
    sdp = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=old\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\na=control:trackID=0\r\n"
        "a=fmtp:96 profile-level-id=1;config=000001B001000001B58913\r\n"
    )
    parts = SourceParts(SystemClock(), Meters().stream("cam"))
    with (
        serving(OddCamera(clip, description=sdp)) as server,
        ContainerSource(server.url("cam"), StreamOptions(), parts) as source,
    ):
        assert source.parser_reason == "it is mpeg4, not H.264 or H.265"
        assert server.connections == 1


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_camera_with_few_key_frames_is_early_after_a_handful_of_pictures(
    tmp_path: Path, watch: Watch, encoder: str
) -> None:
    """The last picture before a pause is handed on in it; variable intervals are no matter."""
    clip = noisy_clip(
        tmp_path / "clip.mp4", encoder, frames=30
    )  # the pause comes before the second key frame
    with serving(OddCamera(clip, steps=(0.05, 0.01, 0.08, 0.02, 0.04, 0.03) * 3 + (0.04, 8.0))) as server:
        began_s = time.monotonic()
        camera = watch(server.url("cam"), read_timeout_s=20.0)
        camera.wait_for_frames(20)
        assert time.monotonic() - began_s < 6.0


AUDIO = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=radio\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
    "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:trackID=0\r\n"
)


class Radio:
    """Describes itself, and rejects a PLAY that nothing was set up for."""

    def __init__(self, description: str, rejection: str) -> None:
        self.description = description
        self.rejection = rejection
        self.methods: list[str] = []

    def __call__(self, client: Client) -> None:
        set_up = False
        while True:
            request = client.request()
            self.methods.append(request.method)
            if request.method == "DESCRIBE":
                client.answer(request, "Content-Type: application/sdp\r\n", self.description)
            elif request.method == "SETUP":
                set_up = True
                transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                client.answer(request, f"Session: 7\r\n{transport}")
            elif request.method == "PLAY" and not set_up:
                client.answer(request, status=self.rejection)
            elif request.method == "PLAY":
                client.answer(request, "Session: 7\r\n")
                for number in range(3):
                    client.packet(struct.pack(">BBHII", 0x80, 0, number, number * 160, 7) + b"\xff" * 160)
            else:
                client.answer(request)


@pytest.mark.parametrize(
    "rejection", ["455 Method Not Valid In This State", "500 Internal Server Error", "400 Bad Request"]
)
def test_camera_of_audio_alone_has_no_video(watch: Watch, rejection: str) -> None:
    radio = Radio(AUDIO, rejection)
    with serving(radio) as server:
        camera = watch(server.url("cam"), backoff={"first_s": 60, "most_s": 60})
        down = camera.first("down")
        assert (down.reason, down.text) == (
            "no-video",
            "there is no video in it, but audio; check the path in the URL",
        )
        assert server.connections == 1
        camera.worker.stop(20)


def test_camera_that_rejects_everything_is_rejected(watch: Watch) -> None:
    def broken(client: Client) -> None:
        while True:
            client.answer(client.request(), status="500 Internal Server Error")

    with serving(broken) as server:
        camera = watch(server.url("cam"), backoff={"first_s": 60, "most_s": 60})
        assert camera.first("down").reason == "rejected"
        camera.worker.stop(20)
