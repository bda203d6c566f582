"""Results and frames for tests of what viewers see."""

from __future__ import annotations

import av
import numpy as np

from framelane.core.frames import Detections, Frame, FrameInfo, ModelInfo, Result

from .coded import numbered

MODEL = ModelInfo("street", "0" * 12, "onnxruntime", ("person", "car"))


def info(number: int, *, pts_s: float | None = None, size_wh: tuple[int, int] = (320, 240)) -> FrameInfo:
    """The identity of picture `number` of 25 per second."""
    at_s = number / 25
    own = at_s if pts_s is None else pts_s
    return FrameInfo("cam", number, at_s, 1_000_000.0 + at_s, "receive", at_s, *size_wh, own)


def frame(number: int, size_wh: tuple[int, int] = (320, 240)) -> Frame:
    """Picture `number`, which carries that number."""
    picture = av.VideoFrame.from_ndarray(numbered(number, size_wh), format="gray").reformat(format="yuv420p")
    return Frame(info(number, size_wh=size_wh), picture)


def result(number: int, boxes: int = 1, *, pts_s: float | None = None, track: bool = True) -> Result:
    """What was found in picture `number`: boxes whose left side is the number."""
    xyxy = np.array([[number, 10 * each, number + 20, 10 * each + 30] for each in range(boxes)], np.float32)
    found = Detections(
        xyxy.reshape(-1, 4),
        np.full(boxes, 0.5, np.float32),
        np.arange(boxes, dtype=np.int32) % 3,
        np.arange(boxes, dtype=np.int64) if track else None,
    )
    return Result(info(number, pts_s=pts_s), MODEL, found, 0.0, 0.0)
