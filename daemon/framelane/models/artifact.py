"""Reads a model file's own description, and words the reasons to refuse it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
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
from framelane.models.digest import model_hash
from framelane.models.foreign_files import foreign
from framelane.models.suppression_plugin import PLUGINS, without_plugin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.models.input.letterbox import SizeWH
    from framelane.models.input.spec import PixelType

# ONNX Runtime's exceptions share no base below Exception. A model or an input can cause these.
ORT_ERRORS = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotSupported, RuntimeException)

_RUNTIME = f"ONNX Runtime {onnxruntime.__version__}"
_PIXEL_TYPES = ("float32", "float16", "uint8")
ORT_TYPES = {"float": "float32", "double": "float64"}
_SHORT = 12
CHANNELS = 3
# Image, four of a box, score and class in either order.
LISTED = 7
_IMAGES_RANK = 4
_SIZE_TYPES = ("int64", "int32")
_SIDES = 2
_SILENT = 4
# The task that Ultralytics notes, and the head in the configuration.
_CLASSIFY, _CLASSIFIER = "classify", "classifier"

# ONNX Runtime's words, and ours with the remedy. The first match wins, and its groups fill the braces.
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
        "keeps its weights in {0}, which is missing next to it; copy both files",
    ),
    (
        r"No Op registered for (\S+)|error: (\S+?)\(-?\d+\) is not a reg|implementation for (\S+?)\(\d+\)",
        "uses the operator {0}, which {runtime} lacks; export it again with plain ONNX operators",
    ),
)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model. Unknown dimensions keep their symbol, or are None without one."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        dims = ", ".join("?" if dim is None else str(dim) for dim in self.shape)
        return f"{self.name} {self.dtype} [{dims}]"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model file that takes a batch of images [N, 3, H, W], and perhaps their sizes.

    Attributes:
        path: the file.
        hash: first 12 hex digits of the file's SHA-256; with weights in other files, of all together.
        metadata: the properties that its exporter wrote into it.
        inputs: its inputs.
        outputs: its outputs.
        classifies: whether the outputs are scores of whole images.
        changed: what of the file is left out, as a sentence; None for a file that is used as it is.
    """

    path: Path
    hash: str
    metadata: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    classifies: bool = False
    changed: str | None = None

    @staticmethod
    def open(path: str | Path) -> Artifact:
        """Read a model file's description, without keeping its weights in memory.

        Raises:
            ModelError: the file is missing, is not an ONNX model that ONNX Runtime can load, or takes no images.
        """
        artifact = Artifact.describe(path)
        artifact.check_input()
        return artifact

    @staticmethod
    def describe(path: str | Path) -> Artifact:
        """Read a model file's description, whatever its inputs are.

        ONNX Runtime itself describes it, without optimization. This takes 15 ms for a small model, and 15 MB
        less than the onnx package would keep.

        Raises:
            ModelError: the file is missing, or is not an ONNX model that ONNX Runtime can load.
        """
        path = Path(path)
        _check_readable(path)
        try:
            session, changed = _loaded(path)
            metadata = session.get_modelmeta().custom_metadata_map
            return Artifact(
                path,
                model_hash(path)[:_SHORT],
                metadata,
                tuple(_spec(node) for node in session.get_inputs()),
                tuple(_spec(node) for node in session.get_outputs()),
                metadata.get("task") == _CLASSIFY,
                changed,
            )
        except ORT_ERRORS as error:
            raise ModelError(f"{path} {foreign(path) or _cause(str(error))}") from error
        except UnicodeDecodeError as error:
            raise ModelError(
                f"{path} is damaged: a name in it is not UTF-8 text; export or copy it again"
            ) from error

    @property
    def loadable(self) -> str | bytes:
        """What ONNX Runtime loads: the file's path, or the model without what is left out of it."""
        return str(self.path) if self.changed is None else without_plugin(self.path)[0]

    @property
    def image(self) -> TensorSpec:
        """The input for images."""
        return next((spec for spec in self.inputs if len(spec.shape) == _IMAGES_RANK), self.inputs[0])

    @property
    def sizes(self) -> TensorSpec | None:
        """The input for the images' sizes [N, 2], to which DETR families scale boxes; None if there is none."""
        return next((spec for spec in self.inputs if spec is not self.image), None)

    @property
    def dtype(self) -> PixelType:
        """Element type of the images."""
        return cast("PixelType", self.image.dtype)

    @property
    def batch(self) -> int | None:
        """The batch size that the file fixes; None if it is dynamic."""
        first = self.image.shape[0]
        return first if isinstance(first, int) and first > 0 else None

    @property
    def size_wh(self) -> SizeWH | None:
        """Width and height that the file fixes; None if either is dynamic."""
        height, width = self.image.shape[2:]
        fixed = isinstance(height, int) and isinstance(width, int)
        return (cast("int", width), cast("int", height)) if fixed else None

    def lists_all(self, output: TensorSpec) -> bool:
        """Return whether an output lists the detections of all images together, with the image's number first.

        A classifier of seven classes has the same shape. It is known by its task, its fixed batch, or `read_as`.
        """
        if len(output.shape) != _SIDES or output.shape[1] != LISTED:
            return False
        return not (self.classifies or (isinstance(output.shape[0], int) and output.shape[0] == self.batch))

    def read_as(self, head: str) -> Artifact:
        """Return the same file for a configured head: a classifier has a row of scores for each image."""
        return replace(self, classifies=True) if head == _CLASSIFIER else self

    def check_input(self) -> None:
        """Check that the inputs are images, and perhaps their sizes.

        Raises:
            ModelError: there is another input, or it takes something other than images.
        """
        listed = ", ".join(str(spec) for spec in self.inputs)
        if len(self.inputs) > 1 and not self._sizes_fit():
            raise ModelError(
                f"{self.path} takes {len(self.inputs)} inputs ({listed}); "
                "a model of images is needed, or of images [N, 3, H, W] and their sizes, int64 [N, 2]"
            )
        shape = self.image.shape
        four = len(shape) == _IMAGES_RANK
        if not four or (isinstance(shape[1], int) and shape[1] != CHANNELS):
            last = four and shape[3] == CHANNELS
            remedy = "export it with channels first" if last else "export a detector of color images"
            raise ModelError(f"{self.path} takes {listed}, not images [N, 3, H, W]; {remedy}")
        if self.image.dtype not in _PIXEL_TYPES:
            raise ModelError(f"{self.path} takes {listed}; its type must be one of {', '.join(_PIXEL_TYPES)}")

    def _sizes_fit(self) -> bool:
        """Return whether the second of two inputs is the images' sizes."""
        sizes = self.sizes
        if len(self.inputs) != 1 + 1 or sizes is None:
            return False
        return sizes.dtype in _SIZE_TYPES and len(sizes.shape) == _SIDES and sizes.shape[1] == _SIDES


def _loaded(path: Path) -> tuple[onnxruntime.InferenceSession, str | None]:
    """Return a session that only describes the model, and what of its file is left out."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def load(model: str | bytes) -> onnxruntime.InferenceSession:
        # Its fallback is to try the same again, after a note on standard output.
        return onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )

    try:
        return load(str(path)), None
    except ORT_ERRORS as error:
        if not any(plugin in str(error) for plugin in PLUGINS):
            raise
        model, changed = without_plugin(path)
        return load(model), changed


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist; check the model's `path`") from error
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from error


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
    return TensorSpec(node.name, ORT_TYPES.get(dtype, dtype), shape)
