"""Model files: what they say of themselves, and why they are refused."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.inference import tiny_models

from framelane.core.errors import ModelError
from framelane.inference.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


FLOAT = TensorProto.FLOAT
IMAGE: tuple[str, int, list[int | str]] = ("images", FLOAT, ["N", 3, 64, 64])
IDENTITY = helper.make_node("Identity", ["images"], ["y"])


def test_open_describes_a_file(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8([])], metadata=tiny_models.NAMES)
    artifact = Artifact.open(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:12] == artifact.hash
    assert artifact.metadata == tiny_models.NAMES
    assert str(artifact.image) == "images float32 [batch, 3, 128, 160]"
    assert (artifact.batch, artifact.size_wh, artifact.dtype) == (None, (160, 128), "float32")
    assert [str(output) for output in artifact.outputs] == ["output0 float32 [batch, 7, 420]"]


def test_open_describes_what_is_fixed_and_what_is_open(tmp_path: Path) -> None:
    path = tiny_models.save(
        tmp_path / "m.onnx",
        [tiny_models.yolov8([])],
        batch=4,
        dtype="float16",
        shape=[4, 3, "height", "width"],
    )
    artifact = Artifact.open(path)
    assert (artifact.batch, artifact.size_wh, artifact.dtype) == (4, None, "float16")


def write_text(path: Path) -> None:
    path.write_text("not a model\n" * 50)


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_cut(path: Path) -> None:
    tiny_models.save(path, [tiny_models.yolov8([])])
    path.write_bytes(path.read_bytes()[:3000])


def write_opset(path: Path) -> None:
    tiny_models.save_graph(path, [IMAGE], [IDENTITY], opset=99)


def write_ir(path: Path) -> None:
    tiny_models.save_graph(path, [IMAGE], [IDENTITY], ir_version=99)


def write_unknown_operator(path: Path) -> None:
    tiny_models.save_graph(path, [IMAGE], [helper.make_node("Bogus", ["images"], ["y"])])


def write_without_weights(path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((1, 3, 64, 64), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["images", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info(IMAGE[0], IMAGE[1], IMAGE[2])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (path.parent / "weights.bin").unlink()


def write_two_inputs(path: Path) -> None:
    tiny_models.save_graph(path, [IMAGE, ("sizes", TensorProto.INT64, ["N", 2])], [IDENTITY])


def write_channels_last(path: Path) -> None:
    tiny_models.save_graph(path, [("images", FLOAT, [1, 64, 64, 3])], [IDENTITY])


def write_grey(path: Path) -> None:
    tiny_models.save_graph(path, [("images", FLOAT, [1, 1, 64, 64])], [IDENTITY])


def write_flat(path: Path) -> None:
    tiny_models.save_graph(path, [("images", FLOAT, ["N", 784])], [IDENTITY])


def write_integers(path: Path) -> None:
    cast = helper.make_node("Cast", ["images"], ["y"], to=FLOAT)
    tiny_models.save_graph(path, [("images", TensorProto.INT64, ["N", 3, 64, 64])], [cast])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (None, "FILE does not exist; check the model's `path`"),
        (lambda path: path.mkdir(), "FILE can't be read: Is a directory"),
        (write_text, "FILE is not an ONNX model, or is cut short; export or copy it again"),
        (write_empty, "FILE is not an ONNX model, or is cut short; export or copy it again"),
        (write_cut, "FILE is not an ONNX model, or is cut short; export or copy it again"),
        (
            write_opset,
            "FILE needs opset 99, newer than ORT knows; export with opset=17, or upgrade onnxruntime",
        ),
        (
            write_ir,
            (
                "FILE needs ONNX IR version 99, newer than ORT knows; "
                "export with opset=17, or upgrade onnxruntime"
            ),
        ),
        (
            write_unknown_operator,
            "FILE uses the operator Bogus, which ORT lacks; export it again with plain ONNX operators",
        ),
        (
            write_without_weights,
            "FILE keeps its weights in weights.bin, which is not beside it; copy both files",
        ),
        (
            write_two_inputs,
            (
                "FILE takes 2 inputs (images float32 [N, 3, 64, 64], sizes int64 [N, 2]); "
                "a model with one input, the pictures, is needed"
            ),
        ),
        (
            write_channels_last,
            (
                "FILE takes images float32 [1, 64, 64, 3], not pictures [N, 3, H, W]; "
                "export it with channels first"
            ),
        ),
        (
            write_grey,
            (
                "FILE takes images float32 [1, 1, 64, 64], not pictures [N, 3, H, W]; "
                "export a detector of colour pictures"
            ),
        ),
        (
            write_flat,
            (
                "FILE takes images float32 [N, 784], not pictures [N, 3, H, W]; "
                "export a detector of colour pictures"
            ),
        ),
        (
            write_integers,
            "FILE takes images int64 [N, 3, 64, 64]; its type must be one of float32, float16, uint8",
        ),
    ],
)
def test_open_refuses_with_the_remedy(
    write: Callable[[Path], object] | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    if write is not None:
        write(path)
    with pytest.raises(ModelError) as caught:
        Artifact.open(path)
    plain = str(caught.value).replace(str(path), "FILE")
    assert message == re.sub(f"ONNX Runtime {re.escape(onnxruntime.__version__)}", "ORT", plain)
