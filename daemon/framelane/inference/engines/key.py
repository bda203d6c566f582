"""The key of an engine: all that decides whether it may be used here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from framelane.core.errors import ModelError
from framelane.inference.engines.profiles import Profile  # noqa: TC001 - the sidecar's reader looks the type up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Precision = Literal["fp32", "fp16", "int8"]

CONVERTER = 1
"""Raise it whenever the conversion to half or INT8 changes what an engine computes."""

_SHORT = 12
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What an engine depends on of a GPU: its name, and its compute capability such as (9, 0)."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class KeyParts:
    """What an engine was, or is to be, built of.

    Attributes:
        onnx: SHA-256 of the model file and of the files with its weights.
        tensorrt: its version.
        gpu: the GPU's name.
        capability: its compute capability.
        precision: fp32, fp16 or int8.
        profile: the shapes it takes.
        calibration: digest of the pictures INT8 was calibrated with; None for other precisions.
        converter: version of our own conversion.
    """

    onnx: str
    tensorrt: str
    gpu: str
    capability: tuple[int, int]
    precision: Precision
    profile: Profile
    calibration: str | None
    converter: int = CONVERTER

    @property
    def key(self) -> str:
        """First 12 hex digits of the SHA-256 over all parts."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_SHORT]

    def differences(self, wanted: KeyParts) -> list[str]:
        """In which parts this differs from what is wanted, in words: `TensorRT 8.5.3.1 -> 8.6.1`."""
        pairs = (
            ("model file", self.onnx[:_SHORT], wanted.onnx[:_SHORT]),
            ("TensorRT", self.tensorrt, wanted.tensorrt),
            ("GPU", self.gpu, wanted.gpu),
            ("compute capability", _dotted(self.capability), _dotted(wanted.capability)),
            ("precision", self.precision, wanted.precision),
            ("batch", self.profile.batch_text, wanted.profile.batch_text),
            ("size", self.profile.size_text, wanted.profile.size_text),
            ("calibration pictures", self.calibration or "none", wanted.calibration or "none"),
            ("converter", str(self.converter), str(wanted.converter)),
        )
        return [f"{what} {ours} -> {theirs}" for what, ours, theirs in pairs if ours != theirs]

    def serves(self, wanted: KeyParts) -> bool:
        """Whether an engine with this key does what is wanted: the same parts, and a profile at least as wide."""
        same = (
            self.onnx == wanted.onnx
            and self.tensorrt == wanted.tensorrt
            and (self.gpu, self.capability) == (wanted.gpu, wanted.capability)
            and (self.precision, self.converter) == (wanted.precision, wanted.converter)
        )
        return same and wanted.calibration in (None, self.calibration) and self.profile.covers(wanted.profile)


def model_digest(path: Path) -> str:
    """SHA-256 of a model file; of several where its weights lie in files beside it.

    Raises:
        ModelError: one of them can't be read.
    """
    try:
        digest = hashlib.sha256(_file_digest(path))
        for name in _weight_files(path):
            digest.update(_file_digest(path.parent / name))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path} keeps its weights in {error.filename}, which does not exist; copy both"
        ) from error
    except (OSError, DecodeError) as error:
        raise ModelError(f"{path} can't be read: {error}") from error
    return digest.hexdigest()


def _weight_files(path: Path) -> list[str]:
    model = onnx.load(str(path), load_external_data=False)
    return sorted(
        {ExternalDataInfo(tensor).location for tensor in _tensors(model) if uses_external_data(tensor)}
    )


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
