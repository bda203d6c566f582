"""Frames, results and events for tests of snapshots and clips."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from tests.events.examples import event
from tests.sinks.examples import WALL_S

from framelane.core.frames import Detections, FrameInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.core.events import Event

SIZE_WH = (320, 240)
Box = tuple[float, float, float, float]


def picture(value: int = 120, *, boxes: Sequence[Box] = (), pixel_format: str = "yuv420p") -> av.VideoFrame:
    """A gray frame with checkered boxes, which are sharp."""
    image = np.full((SIZE_WH[1], SIZE_WH[0], 3), value, np.uint8)
    for left, top, right, bottom in boxes:
        part = image[int(top) : int(bottom), int(left) : int(right)]
        rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
        part[(rows // 4 + columns // 4) % 2 == 0] = (200, 30, 20)
    return av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pixel_format)


def info(index: int, *, stream: str = "lobby", every_s: float = 0.2) -> FrameInfo:
    at_s = index * every_s
    return FrameInfo(stream, index, at_s, WALL_S + at_s, "receive", at_s, *SIZE_WH)


def found(*objects: tuple[int, Box, float]) -> Detections:
    """Detections with track id, box and confidence."""
    return Detections(
        np.array([box for _, box, _ in objects], np.float32).reshape(-1, 4),
        np.array([confidence for *_, confidence in objects], np.float32),
        np.zeros(len(objects), np.int32),
        np.array([track for track, *_ in objects], np.int64),
    )


def event_of(track: int, kind: Any = "line", *, stream: str = "lobby", **changes: Any) -> Event:
    """An event of an object."""
    made = event(kind=kind, **changes)
    seen = replace(made.object, track_id=track, id=f"gate-01/{stream}/run-1/{track}")
    return replace(made, stream=stream, object=seen)
