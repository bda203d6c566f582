"""What each part of the live page takes on one core."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.codec.context import CodecContext

from framelane.core.clock import SystemClock
from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.live.boxes import boxes_json
from framelane.live.still import jpeg, reduced
from framelane.live.stills import LONGEST
from framelane.live.tap import StreamTap
from framelane.live.video import Video
from framelane.live.viewer import Viewer
from framelane.sources.interfaces.tap import UnitOrigin
from framelane.sources.interfaces.units import Unit, packet_of
from framelane.sources.timing.arrival_clock import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.live.feed import Sink, Want
    from framelane.live.records import Record

_TIME_BASE = Fraction(1, 90_000)
_PICTURES = 250
_CAMERAS, _FPS = 64, 25


def measure_parts() -> dict[str, str]:
    """Return a figure for each part."""
    units, picture = _coded()
    origin, found = UnitOrigin("h264"), _result()
    tap, video = StreamTap(), Video()
    records = [record for unit in units if (record := video.add(origin, unit)) is not None]
    look_s = _best(lambda: [tap.unit is None for _ in range(1000)], 200) / 1000
    mux_s = _best(lambda: _mux(origin, units), 5) / len(units)
    boxes_s = _best(lambda: boxes_json(found), 500)
    queue_s = _best(lambda: _send(records), 5) / len(records)
    still_s = _best(lambda: jpeg(reduced(picture, LONGEST["tile"])), 20)
    per_s = _CAMERAS * _FPS
    size = sum(len(bytes(unit.packet)) for unit in units) / len(units)
    return {
        "nobody watches, per picture": f"{1e9 * look_s:.0f} ns",
        f"access unit of {size / 1000:.1f} kB to fMP4": f"{1e6 * mux_s:.1f} us",
        f"the same for {_CAMERAS} cameras at {_FPS} per s": f"{100 * mux_s * per_s:.1f} % of a core",
        "boxes of a frame with 10 objects": f"{1e6 * boxes_s:.1f} us",
        "queue of one viewer, per record": f"{1e6 * queue_s:.1f} us",
        f"the same for {_CAMERAS} cameras at {_FPS} per s with boxes": f"{200 * queue_s * per_s:.1f} % of a core",
        "small still of a 1280 x 720 frame": f"{1e3 * still_s:.2f} ms",
        f"the same for {_CAMERAS} cameras, one per s": f"{100 * still_s * _CAMERAS:.1f} % of a core",
    }


class _Feeds:
    """Keeps the one sink."""

    def __init__(self) -> None:
        self.sink: Sink

    def watch(self, _stream: str, _want: Want, sink: Sink) -> None:
        self.sink = sink

    def unwatch(self, _stream: str, _want: Want, _sink: Sink) -> None:
        """Forget nothing."""


def _mux(origin: UnitOrigin, units: list[Unit]) -> None:
    video = Video()
    for unit in units:
        video.add(origin, unit)


def _send(records: list[Record]) -> None:
    """Pass records through a viewer's queue, a few at a time."""
    feeds = _Feeds()
    viewer = Viewer(feeds, SystemClock(), _ignore)
    viewer.command('{"op":"watch","channel":1,"stream":"cam","want":"video"}')
    for number, record in enumerate(records):
        feeds.sink.put(record)
        if number % 8 == 0:
            viewer.take()


def _ignore() -> None:
    """Be woken."""


def _best(work: Callable[[], object], times: int) -> float:
    """Return the shortest of some durations in seconds: others were held up."""
    durations = []
    for _ in range(times):
        began_s = time.perf_counter()
        work()
        durations.append(time.perf_counter() - began_s)
    return min(durations)


def _coded() -> tuple[list[Unit], av.VideoFrame]:
    """Return ten seconds of 720p video at about 4 Mbit/s, and one of its frames."""
    encoder: Any = CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 1280, 720, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.bit_rate = Fraction(1, _FPS), _FPS, 4_000_000
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "50", "threads": "1"}
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (720 + _PICTURES, 1280), np.uint8)
    units: list[Unit] = []
    picture = av.VideoFrame(1280, 720, "yuv420p")
    for number in range(_PICTURES):
        gray = av.VideoFrame.from_ndarray(noise[number : number + 720] // 8 + 100, format="gray")
        picture = gray.reformat(format="yuv420p")
        picture.pts = number
        for packet in encoder.encode(picture):
            ours = packet_of(bytes(packet), packet.pts * 90_000 // _FPS, _TIME_BASE)
            arrival = Arrival(packet.pts / _FPS, packet.pts / _FPS, "receive")
            extradata = encoder.extradata
            units.append(
                Unit(ours, packet.is_keyframe, disposable=False, arrival=arrival, extradata=extradata)
            )
    sets = units[0].extradata
    return [unit._replace(extradata=sets) for unit in units], picture


def _result() -> Result:
    frame = FrameInfo("cam", 0, 0.0, 0.0, "receive", 0.0, 1280, 720, 0.0)
    model = ModelInfo("yolox", "0" * 12, "onnxruntime", ("person", "car"))
    xyxy = np.tile(np.array([100.25, 200.5, 300.75, 400.125], np.float32), (10, 1))
    ids = np.arange(1, 11, dtype=np.int64)
    found = Detections(xyxy, np.full(10, 0.7, np.float32), np.zeros(10, np.int32), ids)
    return Result(frame, model, found, 0.0, 0.0)
