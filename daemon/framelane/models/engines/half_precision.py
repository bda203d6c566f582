"""Writes half precision into the model itself: the network in float16, the arithmetic on boxes in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from framelane.models.engines.graph import Graph, replace_nodes, weights_of
from framelane.models.engines.rules import IN_FLOAT, named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Inputs that the operator requires in float32, whatever type its data has: Resize's region and scales.
_ALWAYS_FLOAT = {"Resize": (1, 2)}
_QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})
_LARGEST = float(np.finfo(np.float16).max)


def float_nodes(graph: Graph) -> set[str]:
    """Return the names of the nodes that stay in float32, as the rules say."""
    kept = named(IN_FLOAT, graph)
    return kept - _weight_qdq(graph, kept)


def to_half(graph: Graph) -> set[str]:
    """Change a graph's float32 tensors to float16, except for `float_nodes`; the graph is edited.

    onnxruntime.transformers has such a conversion. But it rounds to half between any two nodes that it keeps
    in float32, so it can't keep a box exact.

    Returns:
        The names of the image's nodes that stayed in float32.
    """
    kept = float_nodes(graph)
    _Converter(graph, kept).convert()
    return kept & graph.picture_nodes()


def _weight_qdq(graph: Graph, kept: set[str]) -> set[str]:
    """Return Q/DQ nodes of weights.

    They must have the type of the layer they feed, or TensorRT can't fuse them.
    """
    wanted: set[str] = set()
    found = set()
    for node in reversed(graph.nodes):
        feeds_layer = any(name in wanted for name in node.output)
        if node.name not in kept or (node.op_type in _QDQ and feeds_layer):
            wanted |= set(node.input[:1]) if node.op_type in _QDQ else set(node.input)
        if node.name in kept and node.op_type in _QDQ and feeds_layer:
            found.add(node.name)
    return found


class _Converter:
    def __init__(self, graph: Graph, kept: set[str]) -> None:
        self._graph = graph
        self._kept = kept
        self._constants = graph.constants
        # Current type of each tensor that was float32.
        self._is: dict[str, int] = {}
        self._made: dict[tuple[str, int], str] = {}

    def convert(self) -> None:
        proto = self._graph.model.graph
        for value in proto.input:
            if value.type.tensor_type.elem_type == TensorProto.FLOAT and value.name not in self._constants:
                value.type.tensor_type.elem_type = TensorProto.FLOAT16
                self._is[value.name] = TensorProto.FLOAT16
        nodes = [made for node in self._graph.nodes for made in self._node(node)]
        for value in proto.output:
            if value.type.tensor_type.elem_type == TensorProto.FLOAT:
                value.type.tensor_type.elem_type = self._is.get(value.name, TensorProto.FLOAT)
        del proto.value_info[:]
        replace_nodes(self._graph.model, nodes)
        self._drop_unused()

    def _node(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Yield the casts that a node needs, then the node in its type."""
        dtype = TensorProto.FLOAT if node.name in self._kept else TensorProto.FLOAT16
        for index, name in enumerate(node.input):
            if name and self._graph.dtypes.get(name) == TensorProto.FLOAT and node.op_type != "Cast":
                always = index in _ALWAYS_FLOAT.get(node.op_type, ())
                node.input[index], cast = self._as(name, TensorProto.FLOAT if always else dtype)
                if cast is not None:
                    yield cast
        if dtype == TensorProto.FLOAT16:
            _halve_attributes(node)
        for name in node.output:
            if self._graph.dtypes.get(name) == TensorProto.FLOAT:
                self._is[name] = dtype
        yield node

    def _as(self, name: str, dtype: int) -> tuple[str, onnx.NodeProto | None]:
        """Return the name of a tensor in a type, and the cast that makes it if it does not exist yet."""
        if self._is.get(name, TensorProto.FLOAT) == dtype:
            return name, None
        known = self._made.get((name, dtype))
        if known is not None:
            return known, None
        made = f"{name}__{'float16' if dtype == TensorProto.FLOAT16 else 'float32'}"
        self._made[name, dtype] = made
        if name in self._constants:
            values = _to_half(weights_of(self._constants[name]))
            self._graph.model.graph.initializer.append(numpy_helper.from_array(values, made))
            return made, None
        return made, helper.make_node("Cast", [name], [made], name=f"{made}__cast", to=dtype)

    def _drop_unused(self) -> None:
        proto = self._graph.model.graph
        used = {name for node in proto.node for name in node.input} | set(self._graph.outputs)
        left = [tensor for tensor in proto.initializer if tensor.name in used]
        copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in left]
        del proto.initializer[:]
        proto.initializer.extend(copies)


def _to_half(values: NDArray[Any]) -> NDArray[np.float16]:
    """Convert values to half; those beyond its range become the largest half."""
    halves: NDArray[np.float16] = np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)
    return halves


def _halve_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        is_target = node.op_type == "Cast" and attribute.name == "to"
        if is_target and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(numpy_helper.from_array(_to_half(weights_of(attribute.t)), attribute.t.name))
