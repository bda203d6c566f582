"""Pictures of one connection are shown in their order, whichever thread decodes them."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import av
from tests.sources.rtsp.jpeg_payloads import draw
from tests.waiting import wait_until

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.sources.camera_parts import CameraParts
from framelane.sources.decoding.decoder import ON_CPU, StreamDecoder
from framelane.sources.decoding.skip_policy import SkipPolicy
from framelane.sources.decoding.unit_decoder import UnitDecoder
from framelane.sources.decoding.unit_queue import UnitQueue
from framelane.sources.ingest import Ingest
from framelane.sources.interfaces.tap import UnitTap
from framelane.sources.interfaces.units import Unit, packet_of
from framelane.sources.live_decoding import LiveDecoding
from framelane.sources.timing.arrival_clock import arrival_now
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from framelane.sources.interfaces.source import Decoded

TIME_BASE = Fraction(1, 90_000)


class Coded(NamedTuple):
    """Video that no container holds."""

    codec_context: VideoCodecContext


class SlowFrames:
    """Takes pictures as a FrameMaker does; the first keeps it until it is let go."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self.pts: list[float | None] = []

    def take(self, decoded: Decoded) -> None:
        if not self.began.is_set():
            self.began.set()
            assert self.go_on.wait(20)
        self.pts.append(decoded.pts_s)


class QuietStatus:
    """Hears of nothing."""

    def hindered(self, reason: str, text: str) -> None:
        """Forget it."""

    def unit_seen(self, at_s: float) -> None:
        """Forget it."""

    def frame_owed(self, at_s: float) -> None:
        """Forget it."""


def test_the_first_picture_is_shown_before_those_that_the_pool_decodes() -> None:
    clock, frames = SystemClock(), SlowFrames()
    context = av.CodecContext.create("mjpeg", "r")
    meter, ingest = Meters().stream("cam"), Ingest(clock)
    decoder = StreamDecoder(Coded(context), ON_CPU, StreamOptions(), lambda _why: None)
    units = UnitDecoder(decoder, float(TIME_BASE), clock, meter, endless=True)
    waiting = UnitQueue(60.0, SkipPolicy(None), clock, lambda _why, _count: None)
    status: Any = QuietStatus()
    tap, sink = UnitTap(), cast("Any", frames)
    seen: list[Any] = []
    parts = CameraParts(meter, status, clock, ingest, tap)
    decoding = LiveDecoding(units, waiting, sink, parts, "mjpeg")

    def put(number: int) -> bool:
        packet = packet_of(draw(number).file, 3600 * number, TIME_BASE)
        return decoding.put(Unit(packet, key=True, disposable=True, arrival=arrival_now(clock)))

    try:
        assert put(0)
        # From now on somebody watches.
        tap.unit = lambda origin, unit: seen.append((origin.codec, unit.packet.pts))
        camera = threading.Thread(target=decoding.advance)
        camera.start()
        assert frames.began.wait(20)
        # The camera's thread still has the first picture in its hands.
        attended = [not put(number) for number in (1, 2)]
        threading.Event().wait(0.3)
        early = list(frames.pts)
        frames.go_on.set()
        camera.join(20)
        if not all(attended):
            decoding.advance()
        wait_until(lambda: len(frames.pts) == 3)
    finally:
        frames.go_on.set()
        decoding.close()
        ingest.stop(10.0)
    assert (early, frames.pts) == ([], [0.0, 0.04, 0.08])
    assert seen == [("mjpeg", 3600), ("mjpeg", 7200)]
