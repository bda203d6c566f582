"""Recognizes files that are not ONNX models but are often named by mistake, with a remedy for each kind."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HEAD_BYTES = 64
_PYTORCH = (
    "is a PyTorch file; export it to ONNX, with Ultralytics by `yolo export model={file} format=onnx`, "
    "and set `path` to the .onnx file"
)
_ENGINE = (
    "is a TensorRT engine; set `path` to the ONNX file that it was built from, and Framelane builds its own"
)
_OTHER = "is a model for {program}; export it to ONNX, and set `path` to the .onnx file"
_TFLITE, _KERAS, _OPENVINO = (_OTHER.replace("{program}", name) for name in ("TFLite", "Keras", "OpenVINO"))

# The offset and content of a file's first bytes.
_BEGINNINGS = (
    (0, b"PK\x03\x04", _PYTORCH),
    (0, b"\x80\x02", _PYTORCH),
    (0, b"ptrt", _ENGINE),
    (0, b"ftrt", _ENGINE),
    (4, b"TFL3", _TFLITE),
    (0, b"\x89HDF", _KERAS),
    (0, b"<?xml", _OPENVINO),
    (0, b"version https://git-lfs", "is a pointer of Git LFS, not the model; run `git lfs pull`"),
    (0, b"<!doctype html", "is a web page, not a model; download it again"),
    (0, b"<html", "is a web page, not a model; download it again"),
)
_SUFFIXES = {
    ".pt": _PYTORCH,
    ".pth": _PYTORCH,
    ".torchscript": _PYTORCH,
    ".engine": _ENGINE,
    ".plan": _ENGINE,
    ".trt": _ENGINE,
    ".tflite": _TFLITE,
    ".h5": _KERAS,
    ".keras": _KERAS,
}


def foreign(path: Path) -> str | None:
    """Describe a file that is not an ONNX model, with the remedy, to follow its name; None if unknown."""
    message = _by_content(path) or _SUFFIXES.get(path.suffix.lower())
    return None if message is None else message.format(file=shlex.quote(str(path)))


def _by_content(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    # Keras writes ZIP archives too, like PyTorch.
    if path.suffix.lower() == ".keras":
        return _KERAS
    for begin, mark, message in _BEGINNINGS:
        if head[begin : begin + len(mark)].lower() == mark.lower():
            return message
    return None
