"""What takes one slot's batches from pictures to detections, wherever that happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av

    from framelane.core.frames import Detections
    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.letterbox import Crop


@dataclass(frozen=True, slots=True)
class Detected:
    """What a runner made of one batch, and how long its stages took.

    Attributes:
        detections: one of each picture, in source pixels.
        preprocess_s: seconds until the pictures were no longer needed.
        infer_s: seconds from there until the results were in hand.
        postprocess_s: seconds from there until the detections were made.
    """

    detections: list[Detections]
    preprocess_s: float
    infer_s: float
    postprocess_s: float


class Runner(Protocol):
    """Belongs to one thread, which opens it, calls it and closes it."""

    def open(self) -> None:
        """Take what it needs and warm up; raises ModelError or a GPU's error where that can't be."""
        ...

    def detect(
        self, pictures: list[av.VideoFrame], wanted: Sequence[ClassFilter], crops: Sequence[Crop | None]
    ) -> Detected:
        """Detect in a batch of at most the size it was made for.

        Args:
            pictures: decoded pictures; the list is cleared as soon as they have been read, so that a decoder gets
                their memory back while the model still runs.
            wanted: what each picture's stream wants.
            crops: the part of each picture that counts, or None for all of it.
        """
        ...

    def close(self) -> None:
        """Free what it took; may be called twice, and after an `open` that failed half-way."""
        ...
