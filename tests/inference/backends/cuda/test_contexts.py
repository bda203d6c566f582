"""A slot's contexts: raw runs, and engines that don't fit their model."""

from __future__ import annotations

import ctypes
from contextlib import closing

import numpy as np
import pytest
from tests.inference.backends.cuda.fake_gpu import FakeEngine, FakeStream, Journal

from framelane.core.errors import ModelError
from framelane.gpu.trt.runtime import Tensor
from framelane.inference.backends.cuda.contexts import SlotContexts, engine_shape, pixel_type

IMAGES = Tensor("images", "float16", (-1, 3, 32, 64), is_input=True)
BOXES = Tensor("boxes", "float32", (-1, 10, 4), is_input=False)
SCORES = Tensor("scores", "float16", (-1, 10, 3), is_input=False)


def test_outputs_come_in_the_order_of_the_models_file(journal: Journal) -> None:
    shape = engine_shape((SCORES, IMAGES, BOXES), ["boxes", "scores"], (64, 32), (1, 4))
    assert (shape.image, shape.outputs) == (IMAGES, (BOXES, SCORES))
    stream = FakeStream(journal)
    with closing(SlotContexts(FakeEngine(journal, (IMAGES, BOXES, SCORES)), shape, stream)) as contexts:  # type: ignore[arg-type]
        found = contexts.run(np.zeros((3, 3, 32, 64), np.float32), stream)  # type: ignore[arg-type]
    assert [(each.shape, each.dtype) for each in found] == [
        ((3, 10, 4), np.float32),
        ((3, 10, 3), np.float32),
    ]
    assert journal.done[-6:] == [
        "infer 4", f"copy out {4 * 40 * 4}", f"copy out {4 * 30 * 2}", "synchronize",
        "free context 1", "free context 0",
    ]  # fmt: skip
    assert journal.open == ["stream"]


def test_the_inputs_size_is_written_once_for_each_image(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = Tensor("orig_target_sizes", "int64", (-1, 2), is_input=True)
    sent: list[list[list[int]]] = []
    monkeypatch.setattr(
        FakeStream,
        "copy_in",
        lambda _stream, _to, address, size: sent.append(
            np.ctypeslib.as_array((ctypes.c_int64 * (size // 8)).from_address(address))
            .reshape(-1, 2)
            .tolist()
        ),
    )
    shape = engine_shape((sizes, IMAGES, BOXES), ["boxes"], (64, 32), (1, 4))
    assert (shape.image, shape.sizes) == (IMAGES, sizes)
    engine, stream = FakeEngine(journal, (IMAGES, sizes, BOXES)), FakeStream(journal)
    with closing(SlotContexts(engine, shape, stream)):  # type: ignore[arg-type]
        assert sent == [[[64, 32]] * 4]
        for context in engine.contexts:
            assert set(context.addresses) == {"images", "orig_target_sizes", "boxes"}
    assert journal.open == ["stream"]


@pytest.mark.parametrize("outputs", [["boxes"], ["boxes", "other"]])
def test_an_engine_with_other_outputs_than_its_model_is_refused(outputs: list[str]) -> None:
    with pytest.raises(ModelError, match="delete the engine, and it is built again"):
        engine_shape((IMAGES, BOXES, SCORES), outputs, (64, 32), (1,))


def test_an_output_whose_length_depends_on_the_picture_is_refused(journal: Journal) -> None:
    kept = Tensor("kept", "int32", (-1, -1, 3), is_input=False)
    shape = engine_shape((IMAGES, kept), ["kept"], (64, 32), (1,))
    with pytest.raises(ModelError, match=r"kept \[1, -1, 3\] has a length that depends on the image"):
        SlotContexts(FakeEngine(journal, (IMAGES, kept)), shape, FakeStream(journal))  # type: ignore[arg-type]
    assert journal.open == ["stream"]


def test_an_input_type_that_the_kernel_can_not_write_is_refused() -> None:
    assert pixel_type("uint8") == "uint8"
    with pytest.raises(ModelError, match="the engine takes int32 images"):
        pixel_type("int32")
