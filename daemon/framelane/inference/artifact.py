"""What a model file says of itself, and in what words it is refused."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    RuntimeException,
)
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotSupported

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.inference.inputs import PixelType
    from framelane.inference.letterbox import SizeWH

# ONNX Runtime's exceptions share no base below Exception; a model or an input can cause these.
ORT_ERRORS = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotSupported, RuntimeException)

_RUNTIME = f"ONNX Runtime {onnxruntime.__version__}"
_PIXEL_TYPES = ("float32", "float16", "uint8")
_ORT_TYPES = {"float": "float32", "double": "float64"}
_CHUNK = 1 << 20
CHANNELS = 3
_SILENT = 4

# ONNX Runtime's words, and ours with the remedy; the first that matches. What was captured fills the braces.
_CAUSES = (
    (
        "Protobuf parsing failed|No graph was found|does not have a graph",
        "is not an ONNX model, or is cut short; export or copy it again",
    ),
    (
        r"Opset (\d+) is under development",
        "needs opset {0}, newer than {runtime} knows; export with opset=17, or upgrade onnxruntime",
    ),
    (
        r"Unsupported model IR version: (\d+)",
        "needs ONNX IR version {0}, newer than {runtime} knows; export with opset=17, or upgrade onnxruntime",
    ),
    (
        r'External data path does not exist: "(?:[^"]*/)?([^"/]+)"|get file size: No such .* \[(?:.*/)?([^/]+)\]',
        "keeps its weights in {0}, which is not beside it; copy both files",
    ),
    (
        r"No Op registered for (\S+)|error: (\S+?)\(-?\d+\) is not a reg|implementation for (\S+?)\(\d+\)",
        "uses the operator {0}, which {runtime} lacks; export it again with plain ONNX operators",
    ),
)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model; unknown dimensions keep their symbol, or None where they have none."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        dims = ", ".join("?" if dim is None else str(dim) for dim in self.shape)
        return f"{self.name} {self.dtype} [{dims}]"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model file whose one input is a batch of pictures [N, 3, H, W].

    Attributes:
        path: the file.
        hash: first 12 hex digits of the file's SHA-256.
        metadata: the properties its exporter wrote into it.
        inputs: its inputs; one.
        outputs: its outputs.
    """

    path: Path
    hash: str
    metadata: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @staticmethod
    def open(path: str | Path) -> Artifact:
        """Read a file's description; its weights don't stay in memory.

        ONNX Runtime itself describes it, without optimising: 15 ms for a small model, and 15 MB less than the
        onnx package would keep.

        Raises:
            ModelError: the file is missing, is no ONNX model it can load, or takes no pictures.
        """
        path = Path(path)
        digest = _sha256(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except ORT_ERRORS as error:
            raise ModelError(f"{path} {_cause(str(error))}") from error
        artifact = Artifact(
            path,
            digest[:12],
            session.get_modelmeta().custom_metadata_map,
            tuple(_spec(node) for node in session.get_inputs()),
            tuple(_spec(node) for node in session.get_outputs()),
        )
        artifact._check_input()
        return artifact

    @property
    def image(self) -> TensorSpec:
        """The input that takes the pictures."""
        return self.inputs[0]

    @property
    def dtype(self) -> PixelType:
        """Element type of the pictures."""
        return cast("PixelType", self.image.dtype)

    @property
    def batch(self) -> int | None:
        """The batch size that the file fixes; None where it is open."""
        first = self.image.shape[0]
        return first if isinstance(first, int) and first > 0 else None

    @property
    def size_wh(self) -> SizeWH | None:
        """Width and height that the file fixes; None where either is open."""
        height, width = self.image.shape[2:]
        fixed = isinstance(height, int) and isinstance(width, int)
        return (cast("int", width), cast("int", height)) if fixed else None

    def _check_input(self) -> None:
        listed = ", ".join(str(spec) for spec in self.inputs)
        if len(self.inputs) != 1:
            raise ModelError(
                f"{self.path} takes {len(self.inputs)} inputs ({listed}); "
                "a model with one input, the pictures, is needed"
            )
        shape = self.image.shape
        four = len(shape) == 4  # noqa: PLR2004 - N, 3, H, W
        if not four or (isinstance(shape[1], int) and shape[1] != CHANNELS):
            last = four and shape[3] == CHANNELS
            remedy = "export it with channels first" if last else "export a detector of colour pictures"
            raise ModelError(f"{self.path} takes {listed}, not pictures [N, 3, H, W]; {remedy}")
        if self.image.dtype not in _PIXEL_TYPES:
            raise ModelError(f"{self.path} takes {listed}; its type must be one of {', '.join(_PIXEL_TYPES)}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist; check the model's `path`") from error
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from error
    return digest.hexdigest()


def _cause(text: str) -> str:
    for pattern, message in _CAUSES:
        match = re.search(pattern, text)
        if match:
            groups = [group for group in match.groups() if group]
            return message.format(*groups, runtime=_RUNTIME)
    plain = text.splitlines()[0].removeprefix("[ONNXRuntimeError] : ")
    return f"can't be loaded by {_RUNTIME}: {plain}"


def _spec(node: onnxruntime.NodeArg) -> TensorSpec:
    dtype = node.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(dim if isinstance(dim, int) or dim else None for dim in node.shape)
    return TensorSpec(node.name, _ORT_TYPES.get(dtype, dtype), shape)
