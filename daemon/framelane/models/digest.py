"""Identifies model files: SHA-256 over the file, and over the files with its weights if there are any."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx

_CHUNK = 1 << 20
# The key under which a tensor names the file that holds it.
_EXTERNAL = b"location"


def file_digest(path: Path) -> bytes:
    """Return the SHA-256 of a file.

    Raises:
        OSError: it can't be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def model_digest(path: Path) -> str:
    """Return the SHA-256 over the hashes of a model file and its weight files: a part of its engines' key.

    Raises:
        ModelError: one of them can't be read.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - as in `_weight_files`

    try:
        digest = hashlib.sha256(file_digest(path))
        for name in _weight_files(path):
            digest.update(file_digest(path.parent / name))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path} keeps its weights in {error.filename}, which does not exist; copy both"
        ) from error
    except (OSError, DecodeError) as error:
        raise ModelError(f"{path} can't be read: {error}") from error
    return digest.hexdigest()


def model_hash(path: Path) -> str:
    """Return the hash by which consumers know a model: the file's SHA-256; with weight files, `model_digest`.

    Raises:
        ModelError: the file or its weights can't be read.
    """
    try:
        digest, names_others = _read(path)
        return model_digest(path) if names_others and _weight_files(path) else digest.hex()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from error


def _read(path: Path) -> tuple[bytes, bool]:
    """Return a file's SHA-256 and whether it may name weight files.

    This spares most models the 15 MB of onnx.
    """
    digest, names_others, tail = hashlib.sha256(), False, b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            names_others = names_others or _EXTERNAL in tail + chunk
            tail = chunk[-len(_EXTERNAL) :]
    return digest.digest(), names_others


def _weight_files(path: Path) -> list[str]:
    import onnx  # noqa: PLC0415 - 15 MB, which models without such files do without
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data  # noqa: PLC0415

    model = onnx.load(str(path), load_external_data=False)
    return sorted(
        {ExternalDataInfo(tensor).location for tensor in _tensors(model) if uses_external_data(tensor)}
    )


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))
