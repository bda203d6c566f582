"""Headers of ONNX files, those that ONNX Runtime can't load too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from onnx import TensorProto, helper
from tests.models import tiny_models

from framelane.models.artifact import Artifact
from framelane.models.onnx_header import read_header

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_the_header_agrees_with_onnx_runtime(tmp_path: Path, dtype: str) -> None:
    path = tiny_models.save(
        tmp_path / "m.onnx", [tiny_models.yolov8([])], metadata=tiny_models.NAMES, dtype=dtype
    )
    header, artifact = read_header(path), Artifact.open(path)
    assert header is not None
    assert (header.inputs, header.outputs, header.metadata) == (
        artifact.inputs,
        artifact.outputs,
        artifact.metadata,
    )
    assert (header.ir_version, header.opsets, header.operators) == (9, {"ai.onnx": 17}, 6)


def test_the_header_of_a_file_that_cannot_be_loaded_is_read(tmp_path: Path) -> None:
    images: tuple[str, int, list[int | str]] = ("images", TensorProto.FLOAT, ["N", 3, 64, 64])
    node = helper.make_node("Bogus", ["images"], ["y"], domain="com.example")
    path = tiny_models.save_graph(tmp_path / "m.onnx", [images], [node], opset=99, ir_version=88)
    header = read_header(path)
    assert header is not None
    assert (header.ir_version, header.opsets) == (88, {"ai.onnx": 99})
    assert [str(spec) for spec in header.inputs] == ["images float32 [N, 3, 64, 64]"]
    assert [str(spec) for spec in header.outputs] == ["y float32 []"]


@pytest.mark.parametrize("content", [b"", b"text\n" * 50, b"\x08\x07", b"\xff" * 100])
def test_other_files_have_no_header(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert read_header(tmp_path / "m.onnx") is None
    assert read_header(tmp_path) is None
    assert read_header(tmp_path / "none") is None
