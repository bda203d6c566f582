"""What a model must know of each of its streams, while streams come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.letterbox import Crop


class LaneMeter(Protocol):
    """Told what became of each of a stream's frames."""

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """The model ran on a frame."""
        ...

    def frame_dropped(self, reason: str, count: int = 1) -> None:
        """A frame was given up."""
        ...


class NullLaneMeter:
    """Counts nothing."""

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """Forget it."""

    def frame_dropped(self, reason: str, count: int = 1) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What a model must know of a stream: the objects it wants, where in the picture, and who counts.

    A closed lane is that of a stream that is gone: its results go nowhere.
    """

    wanted: ClassFilter
    meter: LaneMeter
    crop: Crop | None = None
    closed: bool = False


class Lanes:
    """One model's lanes by stream; slots look them up while others open and close them.

    Frames of a stream that is gone may still be on their way, in one batch with others' frames. They find a closed
    lane, so that the batch goes on.

    Args:
        nothing: the filter of a closed lane.
        others: lanes of what is no stream, such as a single picture; None for what is nobody's.
    """

    def __init__(
        self, nothing: ClassFilter, others: Callable[[str], Lane | None] = lambda _name: None
    ) -> None:
        self._closed = Lane(nothing, NullLaneMeter(), closed=True)
        self._others = others
        self._open: dict[str, Lane] = {}

    def open(self, stream: str, lane: Lane) -> None:
        """The model gets this stream's frames from now on; replaces the lane that it had."""
        self._open[stream] = lane

    def close(self, stream: str) -> None:
        """The stream is gone, or goes to other models; harmless where it has no lane."""
        self._open.pop(stream, None)

    def of(self, stream: str) -> Lane:
        """The stream's lane."""
        return self._open.get(stream) or self._others(stream) or self._closed
