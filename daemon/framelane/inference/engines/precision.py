"""From a model file to the ONNX model that TensorRT gets: its precision written into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import structlog
from onnx import TensorProto

from framelane.core.errors import ModelError
from framelane.inference.engines.calibrate import batches_of, ranges
from framelane.inference.engines.graph import Graph
from framelane.inference.engines.half import float_nodes, to_half
from framelane.inference.engines.quantise import HALF_OPSET, quantise, quantised_layers, with_opset
from framelane.inference.heads.recognise import Sample, recognise
from framelane.inference.session import OnnxSession
from framelane.inference.sizing import size_wh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from framelane.config.schema import ModelConfig
    from framelane.inference.artifact import Artifact
    from framelane.inference.engines.key import Precision
    from framelane.inference.inputs import InputSpec

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready for TensorRT's parser.

    Attributes:
        model: serialised, with its weights.
        nodes: name and operator of its nodes, in order.
        halves: whether it holds float16.
        exact: names of nodes that stay in float32 where TensorRT chooses precisions itself.
    """

    model: bytes
    nodes: tuple[tuple[str, str], ...]
    halves: bool
    exact: frozenset[str]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Pictures for INT8, and who is told how many of them are done."""

    pictures: Sequence[Path]
    spec: InputSpec
    progress: Callable[[int], None] = lambda _done: None


def prepare(
    path: Path, precision: Precision, *, typed: bool, calibration: Calibration | None = None
) -> Prepared:
    """Convert a model file.

    Args:
        path: an ONNX file.
        precision: what to make of it.
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
        raise ModelError(f"{path}: INT8 needs pictures; set `engine.calibration` (--calibration-images)")
    graph = int8(graph, str(path), calibration)
    if typed:  # halves between the INT8 layers must be in the file too
        graph = with_opset(graph, HALF_OPSET, str(path))
        return _prepared(graph, frozenset(to_half(graph)), path)
    return _prepared(graph, frozenset(float_nodes(graph) & graph.picture_nodes()), path)


def int8(graph: Graph, name: str, calibration: Calibration) -> Graph:
    """The float32 graph with Q/DQ nodes, calibrated.

    Raises:
        ModelError: the file isn't float32, or nothing in it can be quantised.
    """
    if TensorProto.FLOAT16 in graph.dtypes.values():
        raise ModelError(f"{name} holds float16 already; INT8 is made from the float32 file")
    layers = quantised_layers(graph)
    if not layers:
        raise ModelError(f"{name} has no convolutions that INT8 could speed up; use precision fp16")
    copy = onnx.ModelProto.FromString(graph.model.SerializeToString())
    tensors = [node.input[0] for node in layers]
    found = ranges(copy, tensors, batches_of(calibration.pictures, calibration.spec), calibration.progress)
    log.info("engine_calibrated", model=name, pictures=len(calibration.pictures), layers=len(layers))
    return quantise(graph, found, name)


def input_spec(artifact: Artifact, config: ModelConfig) -> InputSpec:
    """How a model wants its pictures: asked of ONNX Runtime, as at the daemon's start on a CPU.

    Raises:
        ModelError: no head fits the model.
    """
    width, height = size_wh(artifact, config)
    value = 114 if artifact.dtype == "uint8" else 114 / 255
    batch = np.full((1, 3, height, width), value, artifact.dtype)
    outputs = OnnxSession(artifact).run(batch)
    names = [spec.name for spec in artifact.outputs]
    sample = Sample(str(artifact.path), (width, height), artifact.dtype, artifact.metadata, names, outputs)
    return recognise(sample, config.head).input


def _prepared(graph: Graph, exact: frozenset[str], path: Path) -> Prepared:
    try:
        model = graph.model.SerializeToString()
    except ValueError as error:  # protobuf's limit
        raise ModelError(
            f"{path} is larger than 2 GB, more than TensorRT's parser takes in one piece"
        ) from error
    halves = TensorProto.FLOAT16 in {tensor.data_type for tensor in graph.model.graph.initializer} | {
        value.type.tensor_type.elem_type for value in graph.model.graph.input
    }
    return Prepared(model, tuple((node.name, node.op_type) for node in graph.nodes), halves, exact)
