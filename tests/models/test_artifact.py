"""Model files: what they say of themselves, and why they are refused."""

# ruff: noqa: E501 - a table of messages reads best with each message whole

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.models import tiny_models

from framelane.core.errors import ModelError
from framelane.models.artifact import Artifact
from framelane.models.digest import model_digest

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
    path.write_text("not a model\n" * 50, encoding="utf-8")


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_cut(path: Path) -> None:
    tiny_models.save(path, [tiny_models.yolov8([])])
    path.write_bytes(path.read_bytes()[:3000])


def write_damaged_name(path: Path) -> None:
    tiny_models.save(path, [tiny_models.yolov8([])])
    path.write_bytes(path.read_bytes().replace(b"images", b"\xffmages"))


def write_opset(path: Path) -> None:
    tiny_models.save_graph(path, [IMAGE], [IDENTITY], opset=99)


def write_ir(path: Path) -> None:
    tiny_models.save_graph(path, [IMAGE], [IDENTITY], ir_version=99)


def write_unknown_operator(path: Path) -> None:
    tiny_models.save_graph(path, [IMAGE], [helper.make_node("Bogus", ["images"], ["y"])])


def write_with_weights(path: Path, value: float = 1.0) -> None:
    weights = numpy_helper.from_array(np.full((1, 3, 64, 64), value, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["images", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info(IMAGE[0], IMAGE[1], IMAGE[2])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (path.parent / "weights.bin").unlink(missing_ok=True)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)


def write_without_weights(path: Path) -> None:
    write_with_weights(path)
    (path.parent / "weights.bin").unlink()


def write_two_inputs(path: Path) -> None:
    tiny_models.save_graph(path, [IMAGE, ("state", FLOAT, ["N", 2])], [IDENTITY])


def write_channels_last(path: Path) -> None:
    tiny_models.save_graph(path, [("images", FLOAT, [1, 64, 64, 3])], [IDENTITY])


def write_gray(path: Path) -> None:
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
            write_damaged_name,
            "FILE is damaged: a name in it is not UTF-8 text; export or copy it again",
        ),
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
            "FILE keeps its weights in weights.bin, which is missing next to it; copy both files",
        ),
        (
            write_two_inputs,
            (
                "FILE takes 2 inputs (images float32 [N, 3, 64, 64], state float32 [N, 2]); "
                "a model of images is needed, or of images [N, 3, H, W] and their sizes, int64 [N, 2]"
            ),
        ),
        (
            write_channels_last,
            (
                "FILE takes images float32 [1, 64, 64, 3], not images [N, 3, H, W]; "
                "export it with channels first"
            ),
        ),
        (
            write_gray,
            (
                "FILE takes images float32 [1, 1, 64, 64], not images [N, 3, H, W]; "
                "export a detector of color images"
            ),
        ),
        (
            write_flat,
            (
                "FILE takes images float32 [N, 784], not images [N, 3, H, W]; "
                "export a detector of color images"
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


def test_hash_covers_weights_beside_the_file(tmp_path: Path) -> None:
    """Two files of one network differ in nothing but what lies beside them."""
    path = tmp_path / "m.onnx"
    write_with_weights(path)
    first, network = Artifact.open(path).hash, path.read_bytes()
    assert first == model_digest(path)[:12]
    write_with_weights(path, 2.0)
    assert path.read_bytes() == network
    assert Artifact.open(path).hash != first


def test_hash_is_the_files_own_if_it_only_speaks_of_a_location(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    metadata = {**tiny_models.NAMES, "location": "gate"}
    tiny_models.save(path, [tiny_models.yolov8([])], metadata=metadata)
    assert Artifact.open(path).hash == hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.pt", b"PK\x03\x04m/data.pkl", "is a PyTorch file; export it to ONNX, with Ultralytics by `yolo export model={path} format=onnx`, "),
        ("m.onnx", b"PK\x03\x04m/data.pkl", "is a PyTorch file; "),
        ("m.pth", b"", "is a PyTorch file; "),
        ("m.engine", b"anything", "is a TensorRT engine; set `path` to the ONNX file that it was built from"),
        ("m.onnx", b"ftrt\x00\x00", "is a TensorRT engine; "),
        ("m.tflite", b"\x1c\x00\x00\x00TFL3", "is a model for TFLite; export it to ONNX, and set `path` to the .onnx file"),
        ("m.keras", b"PK\x03\x04", "is a model for Keras; "),
        ("m.xml", b"<?xml version", "is a model for OpenVINO; "),
        ("m.onnx", b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS, not the model; run `git lfs pull`"),
        ("m.onnx", b"<!DOCTYPE html><html>", "is a web page, not a model; download it again"),
        ("m.onnx", b"nothing known", "is not an ONNX model, or is cut short; export or copy it again"),
    ],
)  # fmt: skip
def test_open_says_what_to_do_with_a_file_of_another_kind(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        Artifact.open(path)
    assert str(caught.value).startswith(f"{path} {expected.format(path=path)}")
