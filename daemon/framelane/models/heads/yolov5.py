"""YOLOv5 and YOLOv7 (and YOLOv6, whose objectness is 1): [N, A, 5+C], center and size in input pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.models.heads.grid import strides_of
from framelane.models.heads.kind import HeadKind, rgb_input
from framelane.models.heads.rows import OBJECTNESS, SCORES, RowsHead, fits_rows

if TYPE_CHECKING:
    from framelane.models.heads.kind import Output, Sample


def _shows(sample: Sample, output: Output) -> bool:
    """Return whether there are three anchors per cell, or one whose objectness is always 1 (YOLOv6)."""
    rows = output.shape[1]
    if strides_of(sample.size_wh, rows, anchors=3) is not None:
        return True
    one_a_cell = strides_of(sample.size_wh, rows) is not None
    return one_a_cell and bool((output.rows[:, OBJECTNESS] == 1).all())


def _make(sample: Sample, output: Output) -> RowsHead:
    return RowsHead("yolov5", rgb_input(sample), output.shape[2] - SCORES, output.number)


KIND = HeadKind("yolov5", "[N, 3 a cell, 5+classes]", fits_rows, _shows, _make)
