"""All of what follows inference, from outputs in memory to detections with details, as the CPU path has them."""

from __future__ import annotations

from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.gpu.shim.grid import GridOnCpu, address_of
from tests.gpu.shim.host import HostBuffer, HostStream
from tests.inference.backends.cuda.both_paths import (
    CELLS,
    HEADS,
    INPUT,
    at_least,
    crowd,
    divided,
    head_of,
    output_of,
    table_row,
)

from framelane.inference.backends.cuda import batch_rows, finish, kept_details, postprocess
from framelane.inference.backends.cuda.finish import KernelFinish
from framelane.models.heads.end_to_end import EndToEndHead
from framelane.models.heads.masks import PrototypeMasks
from framelane.models.heads.rfdetr import RfDetrHead
from framelane.models.heads.yolov8 import YoloV8Head
from framelane.models.input.letterbox import Letterbox
from framelane.models.postprocess import Postprocessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.models.heads.head import Head

    Outputs = list[NDArray[Any]]

CLASSES, BATCH, LIVE = 3, 4, 3
WEIGHTS = 5
PLACES = [
    Letterbox.fit((1920, 1080), INPUT.size_wh, "center"),
    Letterbox.fit((100, 77), INPUT.size_wh, "topleft"),
    Letterbox.fit((333, 777), INPUT.size_wh, "stretch"),
]
FILTERS = [at_least(0.5, CLASSES), at_least(0.3, CLASSES), at_least(0.8, CLASSES)]


@pytest.fixture(scope="module")
def kernels() -> GridOnCpu:
    return GridOnCpu("decode.cu", "suppress.cu", "gather.cu", "masks.cu")


@pytest.fixture(autouse=True)
def host_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (batch_rows, finish, kept_details):
        for name in ("DeviceBuffer", "PinnedBuffer"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, HostBuffer)


class Contexts:
    """An engine's outputs in memory, which a test may change."""

    def __init__(self, outputs: Sequence[NDArray[Any]]) -> None:
        self.values = [np.concatenate([each, np.ones_like(each[:1])]) for each in outputs]
        self.outputs = [SimpleNamespace(address=address_of(each)) for each in self.values]
        self.output_shapes = [each.shape for each in self.values]
        types = [SimpleNamespace(dtype=each.dtype.name) for each in self.values]
        self.shape = SimpleNamespace(outputs=types, buckets=(1, BATCH))


def outputs_of(name: str, head: Head, seed: int) -> Outputs:
    """The outputs for all live images, scores in half precision if they lie apart from the boxes."""
    rng = np.random.default_rng(seed)
    joined = np.concatenate([output_of(name, *crowd(rng, CELLS, CLASSES)) for _ in range(LIVE)])
    outputs = [np.ascontiguousarray(each) for each in divided(head, joined)]
    return [*outputs[:1], *(each.astype(np.float16) for each in outputs[1:])]


def finished(kernels: GridOnCpu, head: Head, turns: Sequence[Outputs], stream: Any) -> list[list[Detections]]:
    """What the kernels find in one batch after another, in the same memory."""
    contexts: Any = Contexts(turns[0])
    table = np.array([*(table_row(place) for place in PLACES), table_row(PLACES[0])])
    found = []
    task = Postprocessor(head, 0.45, 300)
    with closing(KernelFinish(kernels, contexts, task, CLASSES, address_of(table))) as kept:
        for outputs in turns:
            for values, given in zip(contexts.values, outputs, strict=True):
                values[:LIVE] = given
            kept.fill(FILTERS, PLACES)
            kept.upload(stream)
            kept.enqueue(BATCH, stream)
            found.append(kept.detections(LIVE, stream))
    return found


def check(
    kernels: GridOnCpu, head: Head, turns: Sequence[Outputs], stream: HostStream | None = None
) -> list[list[Detections]]:
    """What both paths find."""
    before = HostBuffer.open_now
    actual = finished(kernels, head, turns, stream or HostStream())
    assert HostBuffer.open_now == before
    for outputs, found in zip(turns, actual, strict=True):
        whole = [each.astype(np.float32) for each in outputs]
        for one, other in zip(Postprocessor(head, 0.45, 300)(whole, PLACES, FILTERS), found, strict=True):
            same(one, other)
    return actual


def same(expected: Detections, actual: Detections) -> None:
    np.testing.assert_array_equal(expected.class_id, actual.class_id)
    np.testing.assert_allclose(expected.confidence, actual.confidence, rtol=5e-7)
    np.testing.assert_allclose(expected.xyxy, actual.xyxy, rtol=1e-5, atol=0.05)
    for field in ("keypoints", "corners", "angle"):
        one, other = getattr(expected, field), getattr(actual, field)
        if len(expected) and one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=0.01)
    if len(expected) and expected.masks is not None:
        assert actual.masks is not None
        for mask, other_mask in zip(expected.masks, actual.masks, strict=True):
            assert len(mask) == len(other_mask)
            for outline, other_outline in zip(mask, other_mask, strict=True):
                np.testing.assert_allclose(outline, other_outline, atol=0.01)


@pytest.mark.parametrize("name", HEADS)
def test_each_head_is_finished_as_on_the_cpu(kernels: GridOnCpu, name: str) -> None:
    head = head_of(name, CLASSES)
    turns = [outputs_of(name, head, seed) for seed in (1, 2)]
    for found in check(kernels, head, turns):
        assert len(found[1]) > 3


@pytest.mark.parametrize("rooms", [100, 1])
@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize("maps", [np.float16, np.float32])
def test_prototypes_are_summed_near_boxes_and_read_for_images_without_room(
    kernels: GridOnCpu, monkeypatch: pytest.MonkeyPatch, rooms: int, layout: str, maps: type
) -> None:
    monkeypatch.setattr(postprocess, "_ROOM_MAPS", rooms)
    masks = PrototypeMasks(1, 4)
    head: Head = (
        YoloV8Head(INPUT, CLASSES, 0, masks, "yolov8-seg")
        if layout == "columns"
        else EndToEndHead(INPUT, 0, details=masks)
    )
    rng = np.random.default_rng(4)
    turns = []
    for _ in range(2):
        given = [crowd(rng, CELLS, CLASSES) for _ in range(LIVE)]
        # Boxes of the second image lie over the edges, and beyond them.
        given[1][0][:, :2] += rng.choice([-150, 0, 150], (CELLS, 2))
        weights = rng.normal(0, 1, (LIVE, WEIGHTS, CELLS)).astype(np.float32)
        values: NDArray[Any] = rng.normal(0, 1, (LIVE, WEIGHTS, INPUT.height // 4, INPUT.width // 4))
        values = values.astype(maps)
        if layout == "columns":
            columns = np.concatenate([output_of("yolov8", *each) for each in given])
            turns.append([np.concatenate([columns, weights], axis=1), values])
        else:
            rows = np.concatenate([output_of("end2end", *each) for each in given])
            turns.append([np.concatenate([rows, weights.swapaxes(1, 2)], axis=2), values])
    stream = HostStream()
    found = check(kernels, head, turns, stream)
    masks_found = found[1][1].masks
    assert masks_found is not None
    assert sum(map(len, masks_found.tolist())) > 3
    fetched = sum(size == values[0].nbytes for size in stream.copies)
    assert (fetched > 0) == (rooms == 1)


def test_classes_are_read_from_their_columns(kernels: GridOnCpu) -> None:
    """The others say that they are sure, and there are fewer queries than boxes that may be reported."""
    boxes = np.tile(np.array([[[0.5, 0.5, 0.2, 0.2], [0.3, 0.4, 0.1, 0.2]]], np.float32), (LIVE, 1, 1))
    logits = np.full((LIVE, 2, 9), 8, np.float16)
    columns = (7, 2, 5)
    logits[:, :, columns] = [[-9, 3, -9], [2, -9, -9]]
    head = RfDetrHead("rf-detr", INPUT, 0, 1, columns)
    (found,) = check(kernels, head, [[boxes, logits]])
    assert [each.class_id.tolist() for each in found] == [[1, 0]] * LIVE
