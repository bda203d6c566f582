"""The interface of heads, and their results from a model's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.input.letterbox import Letterbox
    from framelane.models.input.spec import InputSpec

    Array = NDArray[np.float32]
    Floats = Array | NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """A layout with a row of scores per box: boxes [n, anchors, 4 or more] and scores [n, anchors, columns].

    Attributes:
        output: index of the output with the scores, which may be that with the boxes.
        columns: where each class's score is in a row.
        logits: whether scores are before their sigmoid.
        unit: whether boxes are center and size as fractions of the image, else corners in pixels.
    """

    output: int
    columns: tuple[int, ...]
    logits: bool = False
    unit: bool = False


Layout = Literal["columns", "rows", "grid_rows", "end2end", "unit_end2end"] | ScoredRows
"""How outputs lie in memory, for decoders on other devices.

"columns" is [n, 4 + classes, anchors] and "rows" is [n, anchors, 5 + classes], in pixels; "grid_rows" is the same as
offsets from cells; "end2end" is [n, anchors, 6] with corners in pixels, and "unit_end2end" the same with center and
size as fractions of the image. In "columns" and "end2end" the values of the head's details follow; with an angle,
boxes of "end2end" are center and size.
"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes that passed their class's threshold, as a struct of arrays of length K, unordered.

    Attributes:
        xyxy: float32 [K, 4], corners in pixels of the model's input.
        confidence: float32 [K].
        class_id: int32 [K].
        extra: float32 [K, E], what else the model gives for each, for the head's `details`; None if it has none.
    """

    xyxy: Array
    confidence: Array
    class_id: NDArray[np.int32]
    extra: Array | None = None

    def __getitem__(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> Candidates:
        extra = None if self.extra is None else self.extra[keep]
        return Candidates(self.xyxy[keep], self.confidence[keep], self.class_id[keep], extra)


@dataclass(frozen=True, slots=True)
class Raw:
    """All predictions of a batch as the model gives them, for checks.

    Attributes:
        boxes: float32 [n, A, 4], in pixels of the input; None if the layout holds boxes in another form.
        scores: float32 [n, A, S], from 0 to 1.
        confidence: float32 [n, A], to compare with thresholds: that of the best class.
    """

    boxes: Array | None
    scores: Array
    confidence: Array


class Details(Protocol):
    """What a head reports about an object besides its box."""

    @property
    def output(self) -> int | None:
        """Index of another output that it reads; None if `extra` is all it needs."""
        ...

    @property
    def per_object(self) -> bool:
        """Whether `output` has an entry per prediction, whose number is all of `extra`."""
        ...

    @property
    def rotated(self) -> bool:
        """Whether `extra` begins with rotated boxes, which are suppressed as such: cx cy w h angle."""
        ...

    @property
    def stride(self) -> int | None:
        """Input pixels per pixel of the maps in `output` [n, M, h, w] whose sums it reads; None without such."""
        ...

    def add(
        self,
        found: Detections,
        kept: Candidates,
        outputs: Sequence[Floats],
        image: int,
        letterbox: Letterbox,
    ) -> Detections:
        """Return the detections of an image with the details.

        Args:
            found: the detections.
            kept: the same objects in input pixels.
            outputs: the model's outputs, float32 or float16; only `output` is read.
            image: the image's index in them.
            letterbox: where the image is in the input.
        """
        ...


class Head(Protocol):
    """One layout of outputs, bound to one model.

    The attributes suffice for another backend to decode the same layout on its own device.
    """

    @property
    def name(self) -> str:
        """The layout's key in the configuration."""
        ...

    @property
    def input(self) -> InputSpec:
        """The input that the model was trained on."""
        ...

    @property
    def output(self) -> int:
        """Index of the output that it reads."""
        ...

    @property
    def classes(self) -> int | None:
        """How many classes the layout holds; None if it does not tell."""
        ...

    @property
    def layout(self) -> Layout | None:
        """How its outputs lie in memory; None if only `decode` can read it."""
        ...

    @property
    def details(self) -> Details | None:
        """What it reports besides boxes, scores and classes; None if nothing."""
        ...

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels between cells, level by level; empty if boxes don't refer to cells."""
        ...

    @property
    def overlapping(self) -> bool:
        """Whether boxes of one object still have to be suppressed."""
        ...

    def raw(self, outputs: Sequence[Array]) -> Raw:
        """Return all predictions of a batch."""
        ...

    def decode(self, outputs: Sequence[Array], image: int, wanted: ClassFilter) -> Candidates:
        """Return the boxes of one image of a batch whose best class is wanted and reaches its threshold."""
        ...


def corners(center_x: Array, center_y: Array, width: Array, height: Array) -> Array:
    """Return corners [K, 4] from centers and sizes [K]."""
    xyxy = np.empty((len(center_x), 4), np.float32)
    np.subtract(center_x, width * np.float32(0.5), out=xyxy[:, 0])
    np.subtract(center_y, height * np.float32(0.5), out=xyxy[:, 1])
    np.add(xyxy[:, 0], width, out=xyxy[:, 2])
    np.add(xyxy[:, 1], height, out=xyxy[:, 3])
    return xyxy
