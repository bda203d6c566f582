"""Turns a model file into the ONNX model for TensorRT, with the precision written into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import structlog
from onnx import TensorProto

from framelane.core.errors import ModelError
from framelane.models.engines.calibrate import batches_of, ranges
from framelane.models.engines.graph import Graph
from framelane.models.engines.half_precision import float_nodes, to_half
from framelane.models.engines.quantize import HALF_OPSET, quantize, quantized_layers, with_opset
from framelane.models.onnx_session import OnnxSession
from framelane.models.sizing import size_wh
from framelane.models.trial import try_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from framelane.config.sections.model import ModelConfig
    from framelane.models.artifact import Artifact
    from framelane.models.engines.key import Precision
    from framelane.models.input.spec import InputSpec

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready for TensorRT's parser.

    Attributes:
        model: serialized, with its weights.
        nodes: name and operator of its nodes, in order.
        halves: whether it holds float16.
        exact: names of nodes that stay in float32 if TensorRT chooses precisions itself.
    """

    model: bytes
    nodes: tuple[tuple[str, str], ...]
    halves: bool
    exact: frozenset[str]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Images for INT8, and a callback for the number of finished ones."""

    pictures: Sequence[Path]
    spec: InputSpec
    progress: Callable[[int], None] = lambda _done: None


def prepare(
    path: Path, precision: Precision, *, typed: bool, calibration: Calibration | None = None
) -> Prepared:
    """Convert a model file.

    Args:
        path: an ONNX file.
        precision: the target precision.
        typed: whether the network will have exactly the types of the file.
        calibration: needed for INT8.

    Raises:
        ModelError: it can't be converted.
    """
    graph = Graph.load(path)
    if precision == "fp32":
        return _prepared(graph, frozenset(), path)
    if precision == "fp16":
        return _prepared(graph, frozenset(to_half(graph)), path)
    if calibration is None:
        raise ModelError(f"{path}: INT8 needs images; set `engine.calibration` (--calibration-images)")
    graph = int8(graph, str(path), calibration)
    # Halves between the INT8 layers must be in the file too.
    if typed:
        graph = with_opset(graph, HALF_OPSET, str(path))
        return _prepared(graph, frozenset(to_half(graph)), path)
    return _prepared(graph, frozenset(float_nodes(graph) & graph.picture_nodes()), path)


def int8(graph: Graph, name: str, calibration: Calibration) -> Graph:
    """Return the float32 graph with Q/DQ nodes, calibrated.

    Raises:
        ModelError: the file is not float32, or nothing in it can be quantized.
    """
    if TensorProto.FLOAT16 in graph.dtypes.values():
        raise ModelError(f"{name} holds float16 already; INT8 is made from the float32 file")
    layers = quantized_layers(graph)
    if not layers:
        raise ModelError(f"{name} has no convolutions that INT8 could speed up; use precision fp16")
    copy = onnx.ModelProto.FromString(graph.model.SerializeToString())
    tensors = [node.input[0] for node in layers]
    found = ranges(copy, tensors, batches_of(calibration.pictures, calibration.spec), calibration.progress)
    log.info("engine_calibrated", model=name, pictures=len(calibration.pictures), layers=len(layers))
    return quantize(graph, found, name)


def input_spec(artifact: Artifact, config: ModelConfig) -> InputSpec:
    """Return how a model wants its images. A trial in ONNX Runtime tells, as when the daemon starts on a CPU.

    Raises:
        ModelError: no head fits the model.
    """
    return try_model(OnnxSession(artifact).run, artifact, size_wh(artifact, config), config).head.input


def _prepared(graph: Graph, exact: frozenset[str], path: Path) -> Prepared:
    try:
        model = graph.model.SerializeToString()
    except ValueError as error:
        # protobuf's size limit.
        raise ModelError(
            f"{path} is larger than 2 GB, more than TensorRT's parser takes in one piece"
        ) from error
    halves = TensorProto.FLOAT16 in {tensor.data_type for tensor in graph.model.graph.initializer} | {
        value.type.tensor_type.elem_type for value in graph.model.graph.input
    }
    return Prepared(model, tuple((node.name, node.op_type) for node in graph.nodes), halves, exact)
