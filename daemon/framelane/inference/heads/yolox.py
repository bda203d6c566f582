"""YOLOX (Megvii, arXiv 2107.08430): [N, A, 5+C], one anchor a cell, scores already through their sigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.inference.heads.grid import cell_grid
from framelane.inference.heads.head import Candidates, corners
from framelane.inference.heads.rows import pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.heads.grid import Strides
    from framelane.inference.inputs import InputSpec


@dataclass(frozen=True, slots=True)
class YoloxHead:
    """As YOLOX exports by default: xy = (value + cell) * stride, wh = exp(value) * stride."""

    name: ClassVar[str] = "yolox"
    overlapping: ClassVar[bool] = True
    input: InputSpec
    classes: int
    output: int
    strides: Strides

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        rows = outputs[self.output][image]
        index, confidence, class_id = pick(rows, wanted)
        box = rows[index, :4]
        column, row, stride = cell_grid(self.input.size_wh, self.strides)[index].T
        size = np.exp(box[:, 2:]) * stride[:, None]
        xyxy = corners((box[:, 0] + column) * stride, (box[:, 1] + row) * stride, size[:, 0], size[:, 1])
        return Candidates(xyxy, confidence, class_id)


@dataclass(frozen=True, slots=True)
class YoloxDecodedHead:
    """As YOLOX exports with --decode_in_inference: centre and size in input pixels."""

    name: ClassVar[str] = "yolox-decoded"
    overlapping: ClassVar[bool] = True
    input: InputSpec
    classes: int
    output: int

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        rows = outputs[self.output][image]
        index, confidence, class_id = pick(rows, wanted)
        return Candidates(corners(*rows[index, :4].T), confidence, class_id)
