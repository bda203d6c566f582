"""The interface that runs one slot's batches, from images to detections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import av

    from framelane.core.frames import Detections, Picture
    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.input.letterbox import Crop


@dataclass(frozen=True, slots=True)
class Detected:
    """The detections of one batch, and how long its stages took.

    Attributes:
        detections: one per image, in source pixels.
        preprocess_s: seconds until the images were no longer needed.
        infer_s: seconds from then until the results were available.
        postprocess_s: seconds from then until the detections were ready.
        copies: copies of images on the GPU, by their place in the batch; see `pictured` of `Runner.detect`.
        copy_bytes: memory of the GPU that holds all copies of the model's images, or may hold the next ones.
    """

    detections: list[Detections]
    preprocess_s: float
    infer_s: float
    postprocess_s: float
    copies: Mapping[int, Picture] = field(default_factory=dict)
    copy_bytes: int = 0


class Runner(Protocol):
    """Runs batches on one thread, which opens it, calls it and closes it."""

    def open(self) -> None:
        """Allocate resources and warm up.

        Raises:
            ModelError: the model can't be run this way.
            GpuError: the GPU failed.
        """
        ...

    def detect(
        self,
        images: list[av.VideoFrame],
        wanted: Sequence[ClassFilter],
        crops: Sequence[Crop | None],
        pictured: Sequence[int] = (),
    ) -> Detected:
        """Return the detections of a batch, at most as large as the runner was made for.

        Args:
            images: decoded images. The list is cleared as soon as they have been read, so that decoders get
                their memory back while the model still runs.
            wanted: the classes and thresholds that each image's stream wants.
            crops: the part of each image to look at, or None for all of it.
            pictured: of how many objects of each image the pixels are needed afterwards; empty if of none. Who
                calls can hold images in host memory, but not those on the GPU: these are copied, if there is
                room.
        """
        ...

    def close(self) -> None:
        """Free all resources; may be called twice, and after an `open` that failed halfway."""
        ...
