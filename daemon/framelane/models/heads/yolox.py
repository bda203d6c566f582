"""YOLOX (Megvii, arXiv 2107.08430): [N, A, 5+C], one anchor per cell, scores after their sigmoid.

With --decode_in_inference the export gives center and size in input pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.models.heads.grid import cell_grid, strides_of
from framelane.models.heads.head import Candidates, Layout, Raw, corners
from framelane.models.heads.kind import RANK, HeadKind, bgr_input
from framelane.models.heads.rows import SCORES, RowsHead, fits_rows, pick, raw_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.grid import Strides
    from framelane.models.heads.kind import Output, Sample
    from framelane.models.input.spec import InputSpec


@dataclass(frozen=True, slots=True)
class YoloxHead:
    """YOLOX's default export: xy = (value + cell) * stride, wh = exp(value) * stride."""

    name: ClassVar[str] = "yolox"
    layout: ClassVar[Layout] = "grid_rows"
    details: ClassVar[None] = None
    overlapping: ClassVar[bool] = True
    input: InputSpec
    classes: int
    output: int
    strides: Strides

    def raw(self, outputs: Sequence[NDArray[np.float32]]) -> Raw:
        """See Head; boxes are not in pixels."""
        return raw_rows(outputs[self.output], in_pixels=False)

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        rows = outputs[self.output][image]
        index, confidence, class_id = pick(rows, wanted)
        box = rows[index, :4]
        column, row, stride = cell_grid(self.input.size_wh, self.strides)[index].T
        size = np.exp(box[:, 2:]) * stride[:, None]
        xyxy = corners((box[:, 0] + column) * stride, (box[:, 1] + row) * stride, size[:, 0], size[:, 1])
        return Candidates(xyxy, confidence, class_id)


def _fits(sample: Sample, output: Output) -> bool:
    wide_enough = len(output.shape) == RANK and output.shape[2] > SCORES
    return wide_enough and strides_of(sample.size_wh, output.shape[1]) is not None


def _shows_raw(sample: Sample, output: Output) -> bool:
    """Return whether values are raw.

    Offsets stay within a few cells and log sizes go below 0; pixels do neither.
    """
    rows = output.rows
    return float(rows[:, 2:4].min()) < 0 or float(np.ptp(rows[:, 0])) < sample.size_wh[0] / 2


def _make(sample: Sample, output: Output) -> YoloxHead:
    strides = strides_of(sample.size_wh, output.shape[1])
    assert strides is not None  # noqa: S101 - `fits` asked
    return YoloxHead(bgr_input(sample), output.shape[2] - SCORES, output.number, strides)


def _make_decoded(sample: Sample, output: Output) -> RowsHead:
    return RowsHead("yolox-decoded", bgr_input(sample), output.shape[2] - SCORES, output.number)


KIND = HeadKind("yolox", "[N, 1 a cell, 5+classes]", _fits, _shows_raw, _make)
DECODED_KIND = HeadKind(
    "yolox-decoded", "[N, 1 a cell, 5+classes] in pixels", fits_rows, _fits, _make_decoded
)
