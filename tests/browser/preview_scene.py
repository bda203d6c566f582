"""A camera with a sub-stream, on a real RTSP server: both streams show the same clock as black and white cells.

The "model" reads the clock from the frames of the stream itself, and reports a box at a place that tells it. So
the clock in a frame of the sub-stream and the boxes on it tell how far apart in time they are.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
from tests.live.coded import number_of, numbered
from tests.live.found import MODEL
from tests.sources.pictures import X264, X265, Encoding, encode

from framelane.config.sections.stream import StreamConfig
from framelane.core.frames import Detections, Result
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.live.preview import Preview
from framelane.live.tap import StreamTap
from framelane.sources.camera import CameraWorker
from framelane.sources.camera_parts import CameraParts
from framelane.sources.ingest import Ingest

from .scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.core.frames import Frame

SECONDS = 8
"""The clips last that long and begin again."""
PER_S = 100
"""The clock counts hundredths of a second."""
PER_PIXEL = 4
"""Hundredths of a second per pixel by which a box lies further right."""
_STOP_S = 10.0


@dataclass(frozen=True)
class Shown:
    """One of the camera's two streams."""

    size_wh: tuple[int, int]
    fps: int = 25
    codec: str = "h264"

    def clip(self, folder: Path) -> Path:
        """Return the clip that the stream shows, made once."""
        path = folder / f"{self.codec}-{self.size_wh[0]}x{self.size_wh[1]}-{self.fps}.mp4"
        if path.exists():
            return path
        h265 = X265["x265-params"].replace("keyint=25", "keyint=10")
        options = {**X264, "g": "10"} if self.codec == "h264" else {**X265, "x265-params": h265}
        encoder = {"h264": "libx264", "hevc": "libx265"}[self.codec]
        return encode(path, Encoding(encoder, options=options, fps=self.fps), self._frames())

    def _frames(self) -> Iterator[av.VideoFrame]:
        for number in range(SECONDS * self.fps):
            image = numbered(round(number * PER_S / self.fps), self.size_wh)
            yield av.VideoFrame.from_ndarray(image, format="gray")


class ClockReader:
    """The model: takes frames of a camera and gives results to the stream's tap.

    Args:
        tap: of the stream.
        track: whether the object has an id.
        every: each frame with this step is inferred.
    """

    def __init__(self, tap: StreamTap, *, track: bool, every: int) -> None:
        self._tap = tap
        self._track = track
        self._every = every

    def join(self) -> None:
        """See FrameConsumer."""

    def leave(self) -> None:
        """See FrameConsumer."""

    def offer(self, frame: Frame, *, wait: bool = False) -> None:
        """Read a frame's clock."""
        if self._tap.frame is not None:
            self._tap.frame(frame)
        if frame.info.index % self._every == 0 and self._tap.result is not None:
            self._tap.result(self._found(frame))

    def _found(self, frame: Frame) -> Result:
        picture = cast("av.VideoFrame", frame.picture)
        left = number_of(picture.to_ndarray(format="gray").astype(np.uint8, copy=False)) / PER_PIXEL
        height = frame.info.height
        box = np.array([[left, 0.6 * height, left + 20, 0.8 * height]], np.float32)
        track = np.array([1], np.int64) if self._track else None
        found = Detections(box, np.array([0.5], np.float32), np.array([0], np.int32), track)
        return Result(frame.info, MODEL, found, 0.0, 0.0)


class PreviewScene(Scene):
    """A listener with one stream `cam` that has a sub-stream; a context manager.

    Args:
        folder: for clips.
        whole: the stream itself.
        small: its sub-stream.
        track: whether objects have ids.
        every: each frame with this step is inferred.
        options: of the stream.
    """

    def __init__(
        self,
        folder: Path,
        whole: Shown,
        small: Shown,
        *,
        track: bool = True,
        every: int = 1,
        **options: Any,
    ) -> None:
        super().__init__([])
        self.server = RtspServer(
            [CameraSpec("whole", whole.clip(folder)), CameraSpec("small", small.clip(folder))]
        )
        self.previewed = {"cam"}
        self._options = options
        self._ingest = Ingest(self.clock)
        self._tap = StreamTap()
        self._reader = ClockReader(self._tap, track=track, every=every)
        self._stack = ExitStack()

    def __enter__(self) -> PreviewScene:
        self._stack.enter_context(self.server)
        self._align()
        url = self.server.url("whole")
        more = {"backoff": {"first_s": 0.1, "most_s": 0.5}, "read_timeout_s": 2.0, **self._options}
        config = StreamConfig.model_validate(
            {"id": "cam", "url": url, "preview_url": self.server.url("small"), **more}
        )
        self.hub.add("cam", self._tap, Preview.of(config, self._ingest.reactor, self.clock))
        meter = self.meters.stream("cam")
        status = self.board.stream("cam", meter=meter)
        parts = CameraParts(meter, status, self.clock, self._ingest, self._tap)
        camera = CameraWorker(config, self._reader, parts)
        camera.start()
        self._stack.callback(self._ingest.stop, _STOP_S)
        self._stack.callback(camera.stop, _STOP_S)
        super().__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        self._stack.close()

    def remove_preview(self) -> None:
        """Show the stream itself, as after a change of the configuration."""
        self.hub.add("cam", self._tap)
        self.previewed = set()

    def _align(self) -> None:
        """Let both streams show the same moment: a server loads their clips one after the other."""
        whole, small = (self.server.camera(name)._live for name in ("whole", "small"))
        small._epoch_s = whole._epoch_s


def errors_ms(frames: list[dict[str, Any]]) -> list[float]:
    """How late the boxes on each frame are, in milliseconds; those of frames without boxes are left out.

    Where the clips begin again, the clock jumps.
    """
    most = SECONDS * PER_S
    found = []
    for each in frames:
        for left in each["boxes"]:
            late = each["number"] - left * PER_PIXEL
            if 50 < each["number"] < most - 50 and abs(late) < most / 2:
                found.append(late * 1000 / PER_S)
    return found
