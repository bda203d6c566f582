"""Launches box decoding and suppression: a model's raw output in, each picture's boxes in source pixels out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from framelane.gpu.preprocess import Launcher

Layout = Literal["columns", "rows", "grid_rows", "end2end"]
Element = Literal["float32", "float16"]

# Values of a box in a result: x1 y1 x2 y2 confidence class.
ROW = 6
# As the kernels have them.
MOST_COMPARED = 4096
MOST_LEVELS = 4
_DECODE_THREADS = 256
_SUPPRESS_THREADS = 512
# Parts of the workspace begin at multiples of this: the widest load of a kernel.
_ALIGNMENT = 256
# Bytes an anchor: key, box, class.
_KEY, _BOX, _CLASS = 8, 16, 4


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """A layout of outputs, in numbers.

    Attributes:
        layout: "columns" [n, 4 + classes, anchors], "rows" [n, anchors, 5 + classes] in pixels, "grid_rows" the
            same as offsets from cells, "end2end" [n, anchors, 6].
        anchors: predictions a picture.
        classes: columns of the thresholds; for all but "end2end" also the classes of the output.
        dtype: element type of the output.
        overlapping: whether boxes of one object still have to be suppressed.
        input_wh: the model's input in pixels; it and `strides` tell the cells of "grid_rows".
        strides: input pixels between cells, level by level.
    """

    layout: Layout
    anchors: int
    classes: int
    dtype: Element
    overlapping: bool
    input_wh: tuple[int, int]
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PostprocessAddresses:
    """Where the kernels read and write: device addresses.

    Attributes:
        output: the head's output tensor.
        thresholds: float32 [batch, classes], least confidence of each class, infinite for those not wanted.
        table: a row of gpu/table.py for each picture, of which the way back to the source is read.
        live: int32, how many pictures of the batch are real; the others cost next to nothing and get no boxes.
        work: `workspace_bytes`, in any state.
        result: float32 `result_shape`.
    """

    output: int
    thresholds: int
    table: int
    live: int
    work: int
    result: int


@dataclass(frozen=True, slots=True)
class Postprocess:
    """Decoding and suppression of one batch size. Its launches read no host memory, so a CUDA graph can hold them.

    Attributes:
        head: the layout of the output.
        batch: pictures of the output tensor.
        iou: overlap above which the weaker of two boxes of a class goes.
        max_det: most boxes a picture.
    """

    head: HeadSpec
    batch: int
    iou: float
    max_det: int

    @property
    def workspace_bytes(self) -> int:
        """Bytes to work in; batches on one stream may share them, sized for the largest."""
        return _Workspace.at(0, self.batch, self.head.anchors).end

    @property
    def result_shape(self) -> tuple[int, int]:
        """Of the float32 result: a picture's count of boxes, then `max_det` rows, of which `count` are written."""
        return self.batch, 1 + ROW * self.max_det

    @property
    def result_bytes(self) -> int:
        """Bytes of the result."""
        rows, columns = self.result_shape
        return rows * columns * np.dtype(np.float32).itemsize

    def launch(
        self,
        kernels: Launcher,
        stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
        at: PostprocessAddresses,
    ) -> None:
        """Start everything from the output tensor to the result."""
        work = _Workspace.at(at.work, self.batch, self.head.anchors)
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
        )  # fmt: skip

    def _decode(self, kernels: Launcher, stream: Any, at: PostprocessAddresses, work: _Workspace) -> None:  # noqa: ANN401 - the launcher's own kind of stream
        head = self.head
        layout = "rows" if head.layout == "grid_rows" else head.layout
        kernels.launch(
            f"framelane_decode_{layout}_{head.dtype}",
            (-(-head.anchors // _DECODE_THREADS), self.batch, 1), (_DECODE_THREADS, 1, 1), stream,
            np.uint64(at.output), np.uint64(at.thresholds), np.uint64(at.live),
            *work.candidates(), np.int32(head.anchors), np.int32(head.classes),
            *(_levels(head) if layout == "rows" else ()),
        )  # fmt: skip


def _levels(head: HeadSpec) -> list[np.int32]:
    """The grid as the kernels take it: levels (none where boxes are in pixels already), strides, input size."""
    strides = head.strides if head.layout == "grid_rows" else ()
    padded = (*strides, *[1] * (MOST_LEVELS - len(strides)))
    return [np.int32(value) for value in (len(strides), *padded, *head.input_wh)]


@dataclass(frozen=True, slots=True)
class _Workspace:
    """Where the parts of a workspace lie: candidates as kernels/candidates.h has them, and the strongest of them."""

    key: int
    box: int
    class_id: int
    count: int
    strongest_box: int
    strongest_class: int
    end: int

    @staticmethod
    def at(address: int, batch: int, anchors: int) -> _Workspace:
        sizes = (
            *(batch * anchors * each for each in (_KEY, _BOX, _CLASS)),
            batch * np.dtype(np.int32).itemsize,
            *(batch * MOST_COMPARED * each for each in (_BOX, _CLASS)),
        )
        starts = [address]
        for size in sizes:
            starts.append(starts[-1] + -(-size // _ALIGNMENT) * _ALIGNMENT)
        return _Workspace(*starts)

    def candidates(self) -> tuple[np.uint64, ...]:
        """The arguments that say where the candidates are."""
        return tuple(np.uint64(address) for address in (self.key, self.box, self.class_id, self.count))
