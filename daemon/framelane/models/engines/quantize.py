"""Writes INT8 into the model itself: Q/DQ nodes around the layers, in the form that TensorRT fuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper, version_converter

from framelane.core.errors import ModelError
from framelane.models.engines.graph import Graph, replace_nodes, weights_of
from framelane.models.engines.rules import NOT_IN_INT8, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

_LEVELS = 127
_PER_CHANNEL_OPSET = 13
# The first opset whose Q/DQ nodes accept halves.
HALF_OPSET = 19
_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1}


def quantized_layers(graph: Graph) -> list[onnx.NodeProto]:
    """Return the convolutions that go to INT8: all that no rule leaves alone."""
    alone = named(NOT_IN_INT8, graph)
    return [node for node in graph.layers() if node.op_type in _OUTPUT_AXIS and node.name not in alone]


def with_opset(graph: Graph, least: int, name: str) -> Graph:
    """Return the graph at an opset of at least `least`.

    Raises:
        ModelError: an operator in it can't be translated.
    """
    if graph.opset() >= least:
        return graph
    try:
        return Graph.of(version_converter.convert_version(graph.model, least), name)
    except (RuntimeError, version_converter.ConvertError) as error:
        raise ModelError(
            f"{name} has opset {graph.opset()}, and INT8 needs {least}; export it with opset=17 ({error})"
        ) from error


def quantize(graph: Graph, ranges: Mapping[str, float], name: str) -> Graph:
    """Put Q/DQ nodes before the layers: symmetric int8, per tensor for activations, per channel for weights.

    Biases are left alone. Weights stay float32 before their Q node. TensorRT 8 reads them so, and fuses all
    of it.

    Args:
        graph: the float32 model.
        ranges: largest magnitude of the layers' inputs.
        name: the model's name in messages.
    """
    graph = with_opset(graph, _PER_CHANNEL_OPSET, name)
    chosen = {node.name for node in quantized_layers(graph)}
    nodes = [
        made
        for node in graph.nodes
        for made in (_around(graph, node, ranges[node.input[0]]) if node.name in chosen else [node])
    ]
    replace_nodes(graph.model, nodes)
    return Graph.of(graph.model, name)


def _around(graph: Graph, node: onnx.NodeProto, limit: float) -> Iterator[onnx.NodeProto]:
    """Yield a layer and the Q/DQ pairs of its input and its weights. TensorRT wants a pair per layer."""
    axis = _OUTPUT_AXIS[node.op_type]
    weights = weights_of(graph.constants[node.input[1]])
    others = tuple(each for each in range(weights.ndim) if each != axis)
    largest = np.maximum(np.abs(weights).max(axis=others), 1e-8)
    yield from _pair(graph, node, 0, np.array(limit / _LEVELS, np.float32), None)
    yield from _pair(graph, node, 1, (largest / _LEVELS).astype(np.float32), axis)
    yield node


def _pair(
    graph: Graph, node: onnx.NodeProto, index: int, scale: NDArray[np.float32], axis: int | None
) -> Iterator[onnx.NodeProto]:
    base = f"{node.name}__{'x' if index == 0 else 'w'}"
    graph.model.graph.initializer.extend(
        (
            numpy_helper.from_array(scale, f"{base}_scale"),
            numpy_helper.from_array(np.zeros(scale.shape, np.int8), f"{base}_zero"),
        )
    )
    parameters = [f"{base}_scale", f"{base}_zero"]
    quantized, restored = f"{base}_q", f"{base}_dq"
    pair = (
        helper.make_node("QuantizeLinear", [node.input[index], *parameters], [quantized], f"{base}_quantise"),
        helper.make_node("DequantizeLinear", [quantized, *parameters], [restored], f"{base}_dequantise"),
    )
    for made in pair:
        if axis is not None:
            made.attribute.append(helper.make_attribute("axis", axis))
        yield made
    node.input[index] = restored
