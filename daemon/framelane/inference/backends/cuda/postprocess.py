"""Launches box decoding and suppression: from a model's raw output to each image's boxes in source pixels.

Heads that report more than boxes also get what their model says of each kept box: its details.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.inference.backends.cuda.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from framelane.inference.backends.cuda.head_spec import HeadSpec, Kind, MapsSpec
    from framelane.inference.backends.cuda.preprocess import Launcher

    Arguments = list[np.generic]

# Values of a box in a result: x1 y1 x2 y2 confidence class.
ROW = 6
# Values of a box before those of its details: x1 y1 x2 y2 in input pixels.
CORNERS = 4
# The same as in the kernels.
MOST_LEVELS = 4
_DECODE_THREADS = 256
_SUPPRESS_THREADS = 512
_GATHER_THREADS = 64
_GATHER_MOST_THREADS = 256
_MASKS_THREADS = 256
# Maps that an image's masks may take together; far more than eight people. The CPU sums those of fuller images.
_ROOM_MAPS = 4
# How boxes of one object are told in kernels/suppress.cu, for heads without and with angles.
_NEVER, _UPRIGHT, _ROTATED = 0, 1, 2
# Numbers of a rotated box.
TURNED = 5


@dataclass(frozen=True, slots=True)
class PostprocessAddresses:
    """Device addresses that the kernels read and write.

    Attributes:
        output: the output tensor with the boxes.
        thresholds: float32 [batch, classes], least confidence of each class, infinite for unwanted classes.
        table: a row of plane_table.py per image, read to map boxes back to the source.
        live: int32, the number of real images in the batch; the others cost next to nothing and get no boxes.
        work: `workspace_bytes` of scratch memory, which need not be cleared.
        result: float32 `result_shape`.
        details: float32 `details_shape`, in the memory of the device or pinned in that of the host, where only the
            written rows travel; 0 without details.
        scores: the output tensor with the scores, for "scored".
        columns: int32 [classes], where each class's score is in a row of it.
        read: the output tensor that the details read: with an entry per prediction, or with maps.
        sums: float32 `sums_shape`, in either memory like the details.
    """

    output: int
    thresholds: int
    table: int
    live: int
    work: int
    result: int
    details: int = 0
    scores: int = 0
    columns: int = 0
    read: int = 0
    sums: int = 0


@dataclass(frozen=True, slots=True)
class Postprocess:
    """Box decoding and suppression for one batch size.

    Launches read no host memory, so a CUDA graph can hold them.

    Attributes:
        head: the layout of the output.
        batch: images in the output tensor.
        iou: overlap above which the weaker of two boxes of a class is removed.
        max_det: most boxes per image.
    """

    head: HeadSpec
    batch: int
    iou: float
    max_det: int

    @property
    def workspace_bytes(self) -> int:
        """Bytes of scratch memory; batches on one CUDA stream may share it, sized for the largest."""
        return self._workspace(0).end

    @property
    def result_shape(self) -> tuple[int, int]:
        """Shape of the float32 result: per image its count of boxes, then `max_det` rows.

        Only `count` are written.
        """
        return self.batch, 1 + ROW * self.max_det

    @property
    def result_bytes(self) -> int:
        """Size of the result in bytes."""
        rows, columns = self.result_shape
        return rows * columns * np.dtype(np.float32).itemsize

    @property
    def details_shape(self) -> tuple[int, int, int]:
        """Shape of the float32 details: for each box of the result its corners in input pixels, and its extra values.

        Only rows of boxes in the result are written.
        """
        return self.batch, self.max_det, CORNERS + self.head.extra

    @property
    def details_bytes(self) -> int:
        """Size of the details in bytes; 0 if the head reports boxes only."""
        return math.prod(self.details_shape) * np.dtype(np.float32).itemsize if self.head.extra else 0

    @property
    def sums_shape(self) -> tuple[int, int]:
        """Shape of the float32 sums of maps: for each box of the result its window's cells, one after the other.

        Boxes for which there is no room, and all after them, have none.
        """
        maps = self.head.maps
        return self.batch, 0 if maps is None else _ROOM_MAPS * math.prod(maps.shape)

    def launch(
        self,
        kernels: Launcher,
        stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
        at: PostprocessAddresses,
    ) -> None:
        """Launch all kernels from the output tensor to the result."""
        work = self._workspace(at.work)
        kernels.launch(
            "framelane_forget_candidates", (-(-self.batch // _DECODE_THREADS), 1, 1), (_DECODE_THREADS, 1, 1), stream,
            np.uint64(work.count), np.int32(self.batch),
        )  # fmt: skip
        self._decode(kernels, stream, at, work)
        kernels.launch(
            "framelane_suppress", (self.batch, 1, 1), (_SUPPRESS_THREADS, 1, 1), stream,
            *work.candidates(self.head), np.int32(self.head.anchors), np.uint64(at.table), np.uint64(at.live),
            np.uint64(work.strongest_box), np.uint64(work.strongest_class), np.uint64(work.gaussian),
            np.int32(self._overlap), np.float64(self.iou), np.int32(self.max_det), np.uint64(at.result),
            np.uint64(work.kept_anchor if self.head.extra else 0),
        )  # fmt: skip
        if self.head.extra:
            self._gather(kernels, stream, at, work)
        if self.head.maps is not None:
            self._sum(kernels, stream, at, work, self.head.maps)

    def _decode(
        self,
        kernels: Launcher,
        stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
        at: PostprocessAddresses,
        work: Workspace,
    ) -> None:
        head = self.head
        kernel, more = _DECODERS[head.layout]
        dtype = head.dtype if head.scores is None else head.scores.dtype
        kernels.launch(
            f"framelane_decode_{kernel}_{dtype}",
            (-(-head.anchors // _DECODE_THREADS), self.batch, 1), (_DECODE_THREADS, 1, 1), stream,
            np.uint64(at.output), np.uint64(at.thresholds), np.uint64(at.live),
            *work.candidates(head), np.int32(head.anchors), np.int32(head.classes),
            *more(head, at),
        )  # fmt: skip

    def _gather(
        self,
        kernels: Launcher,
        stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
        at: PostprocessAddresses,
        work: Workspace,
    ) -> None:
        head = self.head
        dtype, values, steps, source = head.dtype, head.values, self._steps, at.output
        if head.rotated:
            dtype, values, steps, source = "float32", TURNED, (TURNED, 1), work.turned
        elif head.entries is not None:
            dtype, values, steps, source = head.entries, head.extra, (head.extra, 1), at.read
        threads = min(-(-head.extra // _GATHER_THREADS) * _GATHER_THREADS, _GATHER_MOST_THREADS)
        kernels.launch(
            f"framelane_gather_{dtype}", (self.max_det, self.batch, 1), (threads, 1, 1), stream,
            *(np.uint64(address) for address in (source, work.box, at.result, work.kept_anchor)),
            *(np.int32(value) for value in (head.anchors, values, head.extra, *steps, self.max_det)),
            np.uint64(at.details),
        )  # fmt: skip

    def _sum(
        self,
        kernels: Launcher,
        stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
        at: PostprocessAddresses,
        work: Workspace,
        maps: MapsSpec,
    ) -> None:
        head = self.head
        kernels.launch(
            f"framelane_sum_maps_{maps.dtype}", (self.max_det, self.batch, 1), (_MASKS_THREADS, 1, 1), stream,
            np.uint64(at.output), np.int32(head.dtype == "float16"), np.uint64(at.read),
            *(np.uint64(address) for address in (work.box, at.result, work.kept_anchor)),
            *(np.int32(value) for value in (head.anchors, head.values, head.extra, *self._steps, self.max_det)),
            *(np.int32(side) for side in maps.shape), np.float32(maps.stride), np.int32(self.sums_shape[1]),
            np.uint64(at.sums),
        )  # fmt: skip

    @property
    def _steps(self) -> tuple[int, int]:
        """Numbers from one prediction of the output with the boxes to the next, and from one value to the next."""
        return (1, self.head.anchors) if self.head.layout == "columns" else (self.head.values, 1)

    def _workspace(self, address: int) -> Workspace:
        return Workspace.at(address, self.head, self.batch, self.max_det)

    @property
    def _overlap(self) -> int:
        if not self.head.overlapping:
            return _NEVER
        return _ROTATED if self.head.rotated else _UPRIGHT


def _values(head: HeadSpec, _at: PostprocessAddresses) -> Arguments:
    return [np.int32(head.values)]


def _levels(head: HeadSpec, _at: PostprocessAddresses) -> Arguments:
    """Return the grid arguments: levels (none if boxes are in pixels already), strides, input size."""
    strides = head.strides if head.layout == "grid_rows" else ()
    padded = (*strides, *[1] * (MOST_LEVELS - len(strides)))
    return [np.int32(value) for value in (len(strides), *padded, *head.input_wh)]


def _rows_of_six(head: HeadSpec, _at: PostprocessAddresses) -> Arguments:
    return [np.int32(head.values), *_units(head, unit=head.layout == "unit_end2end")]


def _scored(head: HeadSpec, at: PostprocessAddresses) -> Arguments:
    """Return how to read boxes and scores: element type and length of the one, address and length of the other."""
    scores = head.scores
    assert scores is not None  # noqa: S101 - the layout says so
    return [
        np.int32(head.dtype == "float16"), np.int32(head.values), np.uint64(at.scores), np.int32(scores.step),
        np.uint64(at.columns), np.int32(scores.logits), *_units(head, unit=scores.unit),
    ]  # fmt: skip


def _units(head: HeadSpec, *, unit: bool) -> Arguments:
    """Return whether boxes are center and size as fractions, and how many pixels their units are."""
    return [np.int32(unit), *(np.float32(side if unit else 1) for side in head.input_wh)]


# The kernel of each layout, and its extra arguments.
_DECODERS: dict[Kind, tuple[str, Callable[[HeadSpec, PostprocessAddresses], Arguments]]] = {
    "columns": ("columns", _values),
    "rows": ("rows", _levels),
    "grid_rows": ("rows", _levels),
    "end2end": ("end2end", _rows_of_six),
    "unit_end2end": ("end2end", _rows_of_six),
    "scored": ("scored", _scored),
}
