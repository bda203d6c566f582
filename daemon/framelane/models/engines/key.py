"""The key of an engine: everything that decides whether it may be used here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from framelane.models.digest import model_digest
from framelane.models.engines.profiles import Profile  # noqa: TC001 - the sidecar's reader looks the type up

__all__ = ["DeviceFacts", "KeyParts", "Precision", "model_digest"]

Precision = Literal["fp32", "fp16", "int8"]

_SHORT = 12


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What an engine depends on in a GPU: its name, and its compute capability, such as (9, 0)."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class KeyParts:
    """What an engine was, or will be, built from.

    Attributes:
        onnx: SHA-256 of the model file and of the files with its weights.
        tensorrt: its version.
        gpu: the GPU's name.
        capability: its compute capability.
        precision: fp32, fp16 or int8.
        profile: the shapes that it accepts.
        calibration: digest of the images used to calibrate INT8; None for other precisions.
        converter: version of our own conversion, as far as it concerns this file; see `rules.version_for`.
    """

    onnx: str
    tensorrt: str
    gpu: str
    capability: tuple[int, int]
    precision: Precision
    profile: Profile
    calibration: str | None
    converter: int = 1

    @property
    def key(self) -> str:
        """First 12 hex digits of the SHA-256 over all parts."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_SHORT]

    def differences(self, wanted: KeyParts) -> list[str]:
        """Return the parts in which this differs from `wanted`, such as `TensorRT 8.5.3.1 -> 8.6.1`."""
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
        """Return whether an engine with this key suits `wanted`: same parts, and as wide a profile."""
        same = (
            self.onnx == wanted.onnx
            and self.tensorrt == wanted.tensorrt
            and (self.gpu, self.capability) == (wanted.gpu, wanted.capability)
            and (self.precision, self.converter) == (wanted.precision, wanted.converter)
        )
        return same and wanted.calibration in (None, self.calibration) and self.profile.covers(wanted.profile)


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
