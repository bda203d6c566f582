"""Launches box decoding and suppression: from a model's raw output to each image's boxes in source pixels.

Heads that report more than boxes also get what their model says of each kept box: its details.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from framelane.inference.backends.cuda.preprocess import Launcher
    from framelane.models.heads.head import Layout

Element = Literal["float32", "float16"]

# Values of a box in a result: x1 y1 x2 y2 confidence class.
ROW = 6
# Values of a box before those of its details: x1 y1 x2 y2 in input pixels.
CORNERS = 4
# The same as in the kernels.
MOST_COMPARED = 4096
MOST_LEVELS = 4
_DECODE_THREADS = 256
_SUPPRESS_THREADS = 512
_GATHER_THREADS = 64
# Alignment of the workspace's parts: the widest load of a kernel.
_ALIGNMENT = 256
# Bytes per anchor: key, box, class.
_KEY, _BOX, _CLASS = 8, 16, 4


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """A head as the kernels take it.

    Attributes:
        layout: how the output lies in memory.
        anchors: predictions per image.
        values: numbers per prediction.
        extra: how many of them, the last ones, belong to the details.
        classes: columns of the thresholds; for layouts other than those of 6 values, also the classes of
            the output.
        dtype: element type of the output.
        overlapping: whether boxes of one object still have to be suppressed.
        input_wh: the model's input in pixels; with `strides` it defines the cells of "grid_rows", and
            alone the units of "unit_end2end".
        strides: input pixels between cells, level by level.
    """

    layout: Layout
    anchors: int
    values: int
    extra: int
    classes: int
    dtype: Element
    overlapping: bool
    input_wh: tuple[int, int]
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PostprocessAddresses:
    """Device addresses that the kernels read and write.

    Attributes:
        output: the head's output tensor.
        thresholds: float32 [batch, classes], least confidence of each class, infinite for unwanted classes.
        table: a row of plane_table.py per image, read to map boxes back to the source.
        live: int32, the number of real images in the batch; the others cost next to nothing and get no boxes.
        work: `workspace_bytes` of scratch memory, which need not be cleared.
        result: float32 `result_shape`.
        details: float32 `details_shape`; 0 without details.
    """

    output: int
    thresholds: int
    table: int
    live: int
    work: int
    result: int
    details: int = 0


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
            *work.candidates(), np.int32(self.head.anchors), np.uint64(at.table), np.uint64(at.live),
            np.uint64(work.strongest_box), np.uint64(work.strongest_class),
            np.int32(self.head.overlapping), np.float32(self.iou), np.int32(self.max_det), np.uint64(at.result),
            np.uint64(work.kept_anchor if self.head.extra else 0),
        )  # fmt: skip
        if self.head.extra:
            self._gather(kernels, stream, at, work)

    def _decode(
        self,
        kernels: Launcher,
        stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
        at: PostprocessAddresses,
        work: _Workspace,
    ) -> None:
        head = self.head
        kernel, more = _DECODERS[head.layout]
        kernels.launch(
            f"framelane_decode_{kernel}_{head.dtype}",
            (-(-head.anchors // _DECODE_THREADS), self.batch, 1), (_DECODE_THREADS, 1, 1), stream,
            np.uint64(at.output), np.uint64(at.thresholds), np.uint64(at.live),
            *work.candidates(), np.int32(head.anchors), np.int32(head.classes),
            *more(head),
        )  # fmt: skip

    def _gather(
        self,
        kernels: Launcher,
        stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
        at: PostprocessAddresses,
        work: _Workspace,
    ) -> None:
        head = self.head
        steps = (1, head.anchors) if head.layout == "columns" else (head.values, 1)
        kernels.launch(
            f"framelane_gather_{head.dtype}", (self.max_det, self.batch, 1), (_GATHER_THREADS, 1, 1), stream,
            *(np.uint64(address) for address in (at.output, work.box, at.result, work.kept_anchor)),
            *(np.int32(value) for value in (head.anchors, head.values, head.extra, *steps, self.max_det)),
            np.uint64(at.details),
        )  # fmt: skip

    def _workspace(self, address: int) -> _Workspace:
        return _Workspace.at(address, self.batch, self.head.anchors, self.max_det)


def _values(head: HeadSpec) -> list[np.generic]:
    return [np.int32(head.values)]


def _levels(head: HeadSpec) -> list[np.generic]:
    """Return the grid arguments: levels (none if boxes are in pixels already), strides, input size."""
    strides = head.strides if head.layout == "grid_rows" else ()
    padded = (*strides, *[1] * (MOST_LEVELS - len(strides)))
    return [np.int32(value) for value in (len(strides), *padded, *head.input_wh)]


def _units(head: HeadSpec) -> list[np.generic]:
    """Return the length of a row, whether boxes are center and size, and how many pixels their units are."""
    unit = head.layout == "unit_end2end"
    return [*_values(head), np.int32(unit), *(np.float32(side if unit else 1) for side in head.input_wh)]


# The kernel of each layout, and its extra arguments.
_DECODERS: dict[Layout, tuple[str, Callable[[HeadSpec], list[np.generic]]]] = {
    "columns": ("columns", _values),
    "rows": ("rows", _levels),
    "grid_rows": ("rows", _levels),
    "end2end": ("end2end", _units),
    "unit_end2end": ("end2end", _units),
}


@dataclass(frozen=True, slots=True)
class _Workspace:
    """Addresses of a workspace's parts: candidates as in kernels/candidates.h, and the strongest of them."""

    key: int
    box: int
    class_id: int
    count: int
    strongest_box: int
    strongest_class: int
    kept_anchor: int
    end: int

    @staticmethod
    def at(address: int, batch: int, anchors: int, max_det: int) -> _Workspace:
        sizes = (
            *(batch * anchors * each for each in (_KEY, _BOX, _CLASS)),
            batch * np.dtype(np.int32).itemsize,
            *(batch * MOST_COMPARED * each for each in (_BOX, _CLASS)),
            batch * max_det * np.dtype(np.int32).itemsize,
        )
        starts = [address]
        for size in sizes:
            starts.append(starts[-1] + -(-size // _ALIGNMENT) * _ALIGNMENT)
        return _Workspace(*starts)

    def candidates(self) -> tuple[np.uint64, ...]:
        """Return the kernels' arguments for the candidates."""
        return tuple(np.uint64(address) for address in (self.key, self.box, self.class_id, self.count))
