"""Takes stills of one stream, at most one per second, each with the boxes of its own frame."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal

from framelane.live.boxes import boxes_json
from framelane.live.records import Kind, Record
from framelane.live.still import StillError, jpeg, reduced
from framelane.media.surface import is_on_gpu

if TYPE_CHECKING:
    from collections.abc import Collection

    import av

    from framelane.core.clock import Clock
    from framelane.core.frames import Frame, FrameInfo, Result

Size = Literal["tile", "large"]
LONGEST: dict[Size, int] = {"tile": 400, "large": 1280}
"""The longer side of a still in pixels, by size."""
EVERY_S = 0.95
"""Seconds between two stills: a little less than one, or a camera with one frame per second loses some."""
_MOST_WAIT_S = 0.8
"""Seconds to wait for the boxes of a frame; under overload most frames are not inferred."""
_LENGTH = struct.Struct("<I")
_UNKNOWN = b"null"


class Stills:
    """Chooses a frame, waits for its boxes, encodes it. All but `wants` is for one thread.

    Args:
        clock: the source of time.
    """

    def __init__(self, clock: Clock) -> None:
        self.wants = True
        """Whether the next frame is to be given to `take`; the thread that gives it sets this to False."""
        self.last: dict[Size, Record] = {}
        """The newest still, by size."""
        self._clock = clock
        self._frame: Frame | None = None
        self._picture: Any = None
        self._began_s = clock.monotonic()
        self._next_s = self._began_s

    def take(self, frame: Frame) -> None:
        """Take a frame that may become the next still."""
        picture: Any = frame.picture
        # A decoder on the GPU has few surfaces.
        try:
            self._picture = reduced(picture, max(LONGEST.values())) if is_on_gpu(picture) else picture
        except StillError:
            # The next frame may do.
            return
        if self._frame is None:
            self._began_s = self._clock.monotonic()
        self._frame = frame

    def result(self, result: Result, sizes: Collection[Size]) -> dict[Size, Record]:
        """Return the stills that a result completes, by size."""
        if self._frame is None or result.frame.index < self._frame.info.index:
            return {}
        if result.frame.index == self._frame.info.index:
            return self._finish(boxes_json(result), sizes)
        # The frame was not inferred: another one may be.
        self.wants = True
        return {}

    def look(self, sizes: Collection[Size]) -> dict[Size, Record]:
        """Return stills whose boxes have not come in time; ask for a frame when the next still is due."""
        now_s = self._clock.monotonic()
        if self._frame is not None:
            return self._finish(_UNKNOWN, sizes) if now_s - self._began_s > _MOST_WAIT_S else {}
        if now_s >= self._next_s:
            self.wants = True
        return {}

    def _finish(self, boxes: bytes, sizes: Collection[Size]) -> dict[Size, Record]:
        frame, picture = self._frame, self._picture
        self._frame = self._picture = None
        self.wants = False
        self._next_s = max(self._next_s + EVERY_S, self._clock.monotonic() + EVERY_S / 2)
        if frame is None:
            return {}
        try:
            self.last = {size: _record(frame.info, picture, boxes, size) for size in sizes}
        except StillError:
            return {}
        return self.last


def _record(frame: FrameInfo, picture: av.VideoFrame, boxes: bytes, size: Size) -> Record:
    """Return a still with its boxes."""
    image = jpeg(reduced(picture, LONGEST[size]))
    payload = _LENGTH.pack(len(boxes)) + boxes + image
    return Record(Kind.STILL, frame.pts_s, frame.captured_at, payload)
