"""Hashes of model files, with weights inside or beside them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.models import tiny_models

from framelane.core.errors import ModelError
from framelane.models import digest
from framelane.models.digest import file_digest, model_digest, model_hash

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_file_digest_is_the_sha256(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "m"
    path.write_bytes(content[:size])
    assert hashlib.sha256(content[:size]).digest() == file_digest(path)


def test_model_hash_is_that_of_sha256sum_when_the_weights_are_inside(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8([])])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == model_hash(path)
    # An engine's key has always been the hash of the hashes.
    assert hashlib.sha256(file_digest(path)).hexdigest() == model_digest(path)


def test_model_hash_is_that_of_sha256sum_when_only_the_word_location_is_in_the_file(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8([])], metadata={"location": "garden"})
    assert hashlib.sha256(path.read_bytes()).hexdigest() == model_hash(path)


def test_model_hash_covers_weights_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save_external(path, 1.0)
    alone = hashlib.sha256(path.read_bytes()).hexdigest()
    first = model_hash(path)
    assert first == model_digest(path) != alone
    save_external(path, 2.0)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == alone
    assert model_hash(path) != first


def test_model_hash_finds_weight_files_when_their_name_crosses_two_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    save_external(path, 1.0)
    whole = model_digest(path)
    for chunk in range(8, 16):
        monkeypatch.setattr(digest, "_CHUNK", chunk)
        assert whole == model_hash(path)


def test_model_hash_raises_when_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        model_hash(tmp_path / "m.onnx")
    assert str(caught.value) == f"{tmp_path}/m.onnx can't be read: No such file or directory"


def test_model_digest_raises_when_the_file_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\xff\xff")
    with pytest.raises(ModelError, match=r"m\.onnx can't be read: "):
        model_digest(path)


def test_the_digest_covers_weights_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save_external(path, 1.0)
    first = model_digest(path)
    save_external(path, 2.0)
    assert first != model_digest(path)
    (tmp_path / "m.data").unlink()
    with pytest.raises(ModelError, match=r"keeps its weights in .*m\.data, which does not exist; copy both"):
        model_digest(path)


def save_external(path: Path, value: float) -> None:
    weights = numpy_helper.from_array(np.full(2000, value, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2000])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2000])],
        [weights],
    )
    (path.parent / "m.data").unlink(missing_ok=True)
    onnx.save(helper.make_model(graph), path, save_as_external_data=True, location="m.data", size_threshold=0)
