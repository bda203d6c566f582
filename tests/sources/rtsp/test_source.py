"""An RTSP camera as a source: what it hands on and when, what it says of itself, and how it ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import wait_until

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.rtsp.errors import UnsupportedError
from framelane.sources.rtsp.reactor import Reactor
from framelane.sources.rtsp.source import RtspSource, SpareDecoder, reads_itself
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sources.conftest import Clips

    from framelane.sources.interfaces.units import Unit

WAIT_S = 60.0


@pytest.fixture(scope="module")
def reactor() -> Iterator[Reactor]:
    made = Reactor(SystemClock())
    yield made
    made.stop(WAIT_S)


def opened(
    url: str,
    reactor: Reactor,
    parts: SourceParts | None = None,
    spare: SpareDecoder | None = None,
    **options: Any,
) -> RtspSource:
    parts = parts or SourceParts(SystemClock(), StreamMeter("cam"))
    return RtspSource(url, StreamOptions.model_validate(options), parts, reactor, spare)


class Units:
    """Takes units, and wakes a waiting thread for each."""

    def __init__(self) -> None:
        self.taken: list[Unit] = []

    def __call__(self, unit: Unit) -> bool:
        self.taken.append(unit)
        return True

    def wait(self, count: int) -> list[Unit]:
        wait_until(lambda: len(self.taken) >= count)
        return self.taken[:count]


@pytest.mark.parametrize(
    ("url", "options", "ours"),
    [
        ("rtsp://h/1", {}, True),
        ("RTSPS://h/1", {}, True),
        ("http://h/1", {}, False),
        ("rtsp://h/1", {"reader": "ffmpeg"}, False),
        ("rtsp://h/1", {"ffmpeg": {"rtsp_flags": "x"}}, False),
        ("rtsp://h/1", {"reader": "native", "ffmpeg": {"rtsp_flags": "x"}}, True),
    ],
)
def test_our_reader_is_for_rtsp_without_options_of_ffmpeg(
    url: str, options: dict[str, Any], *, ours: bool
) -> None:
    assert reads_itself(url, StreamOptions.model_validate(options)) == ours


def test_options_of_ffmpeg_are_not_ignored(reactor: Reactor) -> None:
    with pytest.raises(UnsupportedError, match="the stream's `ffmpeg` section is for FFmpeg alone"):
        opened("rtsp://127.0.0.1:1/x", reactor, ffmpeg={"rtsp_flags": "x"})


def test_nothing_comes_before_the_start_and_nothing_after_the_close(
    server: RtspServer, reactor: Reactor
) -> None:
    units, meter = Units(), StreamMeter("cam")
    source = opened(server.url("h264"), reactor, SourceParts(SystemClock(), meter))
    assert meter.snapshot().received == 0
    source.start(units)
    units.wait(3)
    source.close()
    source.close()
    count = len(units.taken)
    threading.Event().wait(0.1)
    assert (len(units.taken), meter.snapshot().received) == (count, count)


def test_source_says_what_the_camera_has_promised(server: RtspServer, reactor: Reactor) -> None:
    with opened(server.url("h264"), reactor) as source:
        info = source.info
        assert (info.codec, info.decoder) == ("h264", "cpu")
        assert (source.choice_note, source.stamp_trouble, source.unmarked) == ("", "", False)
        began_s = source.heard_s
        units = Units()
        source.start(units)
        units.wait(2)
        wait_until(lambda: source.heard_s > began_s)


def test_wait_ends_with_a_unit_or_when_it_is_woken(server: RtspServer, reactor: Reactor) -> None:
    with opened(server.url("h264"), reactor) as source:
        source.wake()
        source.wait()
        units = Units()
        source.start(units)
        source.wait()
        wait_until(lambda: bool(units.taken))
        source.check_end()


def test_camera_that_goes_ends_the_source_with_its_reason(clips: Clips, reactor: Reactor) -> None:
    def ended() -> bool:
        try:
            source.check_end()
        except SourceError as error:
            return error.reason == "lost"
        return False

    with (
        RtspServer([CameraSpec("cam", clips.paths["h264"])]) as own,
        opened(own.url("cam"), reactor) as source,
    ):
        units = Units()
        source.start(units)
        units.wait(2)
        own.camera("cam").kill()
        wait_until(ended)


def test_decoder_of_the_last_connection_is_used_again_if_the_video_is_the_same(
    server: RtspServer, reactor: Reactor
) -> None:
    with opened(server.url("h264"), reactor) as first:
        spare = first._spare
        # The CPU's decoder is opened again at no cost.
        assert (first.resumes, first.spare) == (False, None)
    with opened(server.url("h264"), reactor, spare=spare) as second:
        assert (second.resumes, second._spare is spare) == (True, True)
    with opened(server.url("hevc"), reactor, spare=spare) as other:
        assert (other.resumes, other._spare is spare) == (False, False)


def test_opening_ends_when_the_stream_is_stopped(server: RtspServer, reactor: Reactor) -> None:
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(SourceError) as found:
        opened(server.url("h264"), reactor, SourceParts(SystemClock(), StreamMeter("cam"), stopping=stopping))
    assert found.value.reason == "closed"
