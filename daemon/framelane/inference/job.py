"""Jobs: a frame or an uploaded image, what to look for in it, and where the result goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from framelane.core.drop_reasons import DropReason
    from framelane.core.frames import FrameInfo, Picture, Result
    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.input.letterbox import Crop


class Destination(Protocol):
    """Receives results and counts frames: a stream, or a single uploaded image.

    A batcher gives each destination its turn. Methods are called from any thread.
    """

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """Count an inferred frame, with the seconds it waited and the seconds that inference took."""
        ...

    def frame_dropped(self, reason: DropReason, count: int = 1) -> None:
        """Count frames that will not be inferred."""
        ...

    def deliver(self, result: Result) -> None:
        """Take a result. Results of one model come one at a time, in the order of their frames."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One frame on its way through a model, without its pixels, which are released earlier.

    Attributes:
        info: the frame's identity and times.
        wanted: the classes and thresholds to infer with.
        crop: the part of the frame to look at; None for all of it.
        destination: where the result goes.
        shown: the classes and thresholds to report if the analysis stage needs more than these; else None.
        pictured: of how many objects the analysis stage needs the pixels, too.
    """

    info: FrameInfo
    wanted: ClassFilter
    crop: Crop | None
    destination: Destination
    shown: ClassFilter | None = None
    pictured: int = 0


class Delivery(NamedTuple):
    """A result, where it goes, what of it to report, and the pixels if they are needed; see Job."""

    destination: Destination
    result: Result
    shown: ClassFilter | None = None
    picture: Picture | None = None
