"""One look of a second model at an object: a crop on its way, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque

    from framelane.core.drop_reasons import DropReason
    from framelane.core.frames import FrameInfo, Result
    from framelane.pipeline.seen_object import SeenObject


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The destination of one crop; see Destination. The second model's threads only put its outcome in the inbox.

    Attributes:
        object: the object that the crop shows.
        frame: the frame that it was cut from.
        origin_xy: where in that frame the crop's image begins, in pixels.
        sent_s: monotonic time at which it was cut.
        inbox: receives the look, with a result or the reason for none.
    """

    object: SeenObject
    frame: FrameInfo
    origin_xy: tuple[int, int]
    sent_s: float
    inbox: deque[tuple[Look, Result | DropReason]]

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """See Destination; the inbox's reader counts crops."""

    def frame_dropped(self, reason: DropReason, count: int = 1) -> None:  # noqa: ARG002 - a look has one crop
        """See Destination."""
        self.inbox.append((self, reason))

    def deliver(self, result: Result) -> None:
        """See Destination."""
        self.inbox.append((self, result))
