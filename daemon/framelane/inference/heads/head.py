"""What every head is, and what it makes of a model's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.inputs import InputSpec

    Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes that passed their class's threshold, as a struct of arrays of length K, in no order.

    Attributes:
        xyxy: float32 [K, 4], corners in pixels of the model's input.
        confidence: float32 [K].
        class_id: int32 [K].
    """

    xyxy: Array
    confidence: Array
    class_id: NDArray[np.int32]


class Head(Protocol):
    """One layout of outputs, bound to one model.

    The attributes say all that another backend needs to decode the same layout on its own device.
    """

    @property
    def name(self) -> str:
        """The layout's key in the configuration."""
        ...

    @property
    def input(self) -> InputSpec:
        """The pictures that the model was trained on."""
        ...

    @property
    def output(self) -> int:
        """Number of the output that it reads."""
        ...

    @property
    def classes(self) -> int | None:
        """How many classes the layout holds; None where it doesn't tell."""
        ...

    @property
    def overlapping(self) -> bool:
        """Whether boxes of one object still have to be suppressed."""
        ...

    def decode(self, outputs: Sequence[Array], image: int, wanted: ClassFilter) -> Candidates:
        """The boxes of one picture of a batch whose best class is wanted and reaches its threshold."""
        ...


def corners(center_x: Array, center_y: Array, width: Array, height: Array) -> Array:
    """Corners [K, 4] from centres and sizes [K]."""
    xyxy = np.empty((len(center_x), 4), np.float32)
    np.subtract(center_x, width * np.float32(0.5), out=xyxy[:, 0])
    np.subtract(center_y, height * np.float32(0.5), out=xyxy[:, 1])
    np.add(xyxy[:, 0], width, out=xyxy[:, 2])
    np.add(xyxy[:, 1], height, out=xyxy[:, 3])
    return xyxy
