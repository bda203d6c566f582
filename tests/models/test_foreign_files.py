from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.models.foreign_files import foreign

if TYPE_CHECKING:
    from pathlib import Path

PYTORCH = (
    "is a PyTorch file; export it to ONNX, with Ultralytics by `yolo export model=PATH format=onnx`, "
    "and set `path` to the .onnx file"
)
ENGINE = (
    "is a TensorRT engine; set `path` to the ONNX file that it was built from, and Framelane builds its own"
)
TFLITE, KERAS, OPENVINO = (
    f"is a model for {program}; export it to ONNX, and set `path` to the .onnx file"
    for program in ("TFLite", "Keras", "OpenVINO")
)
LFS = "is a pointer of Git LFS, not the model; run `git lfs pull`"
WEB = "is a web page, not a model; download it again"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.onnx", b"\x08\x07\x12\x07pytorch", None),
        ("m.onnx", b"", None),
        ("m.onnx", b"PK\x03\x04...", PYTORCH),
        ("m.onnx", b"\x80\x02}q\x00", PYTORCH),
        ("m.onnx", b"ptrt1234", ENGINE),
        ("m.onnx", b"ftrt1234", ENGINE),
        ("m.onnx", b"\x1c\0\0\0TFL3", TFLITE),
        ("m.onnx", b"TFL3", None),
        ("m.onnx", b"\x89HDF\r\n", KERAS),
        ("m.xml", b'<?xml version="1.0"?>', OPENVINO),
        ("m.onnx", b"version https://git-lfs.github.com/spec/v1\n", LFS),
        ("m.onnx", b"<!DOCTYPE html><html>", WEB),
        ("m.onnx", b"<HTML lang=en>", WEB),
        ("m.PT", b"?", PYTORCH),
        ("m.torchscript", b"", PYTORCH),
        ("m.engine", b"?", ENGINE),
        ("m.plan", b"?", ENGINE),
        ("m.tflite", b"?", TFLITE),
        ("m.h5", b"?", KERAS),
        ("m.keras", b"PK\x03\x04", KERAS),
        ("m.Keras", b"PK\x03\x04", KERAS),
        ("m.pt", b"<html>", WEB),
        ("m.bin", b"?", None),
    ],
)
def test_foreign_tells_the_kind_by_content_and_then_by_name(
    tmp_path: Path, name: str, content: bytes, expected: str | None
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert (expected and expected.replace("PATH", str(path))) == foreign(path)


def test_foreign_goes_by_the_name_when_the_file_can_not_be_read(tmp_path: Path) -> None:
    assert foreign(tmp_path / "m.engine") == ENGINE
    assert foreign(tmp_path / "m.onnx") is None


def test_foreign_quotes_a_path_that_a_shell_would_split(tmp_path: Path) -> None:
    told = foreign(tmp_path / "my model.pt")
    assert told is not None
    assert f"model='{tmp_path}/my model.pt' format" in told


def test_foreign_takes_braces_in_a_path_as_they_are(tmp_path: Path) -> None:
    told = foreign(tmp_path / "{0}.pt")
    assert told is not None
    assert "{0}.pt" in told
