"""Simplifies an ONNX graph and classifies its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, inliner, numpy_helper, shape_inference

from framelane.core.errors import ModelError
from framelane.models.suppression_plugin import cut

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Their result depends only on shapes, not on values.
_OF_SHAPES = frozenset({"Shape", "Size"})
_WITH_SUBGRAPHS = frozenset({"If", "Loop", "Scan"})


@dataclass(frozen=True, slots=True)
class Graph:
    """A model without local functions, Constant nodes and Identity of constants; every node has its own name.

    Attributes:
        model: the model; it may be edited.
        dtypes: element type (a TensorProto number) of every tensor.
    """

    model: onnx.ModelProto
    dtypes: dict[str, int]

    @staticmethod
    def load(path: Path) -> Graph:
        """Read a file with its external weights, without TensorRT's suppression plugins.

        Raises:
            ModelError: it can't be read, or it has branches or loops.
        """
        try:
            model = onnx.load(str(path))
        except (OSError, DecodeError, onnx.checker.ValidationError) as error:
            raise ModelError(f"{path} can't be read as ONNX: {error}") from error
        cut(model, str(path))
        return Graph.of(model, str(path))

    @staticmethod
    def of(model: onnx.ModelProto, name: str) -> Graph:
        """Simplify a model; `name` is its name in messages."""
        if model.functions:
            model = inliner.inline_local_functions(model)
        for node in model.graph.node:
            if node.op_type in _WITH_SUBGRAPHS:
                raise ModelError(
                    f"{name} has branches or loops (node `{node.name}`, operator {node.op_type}), whose precision "
                    "can't be changed; build it with precision fp32"
                )
        _constants_to_initializers(model)
        _fold_identities(model)
        _name_nodes(model)
        return Graph(model, _dtypes(model))

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        """All nodes, in a valid execution order."""
        return list(self.model.graph.node)

    @property
    def constants(self) -> dict[str, onnx.TensorProto]:
        """Initializers by name."""
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    @property
    def outputs(self) -> list[str]:
        """Names of the model's outputs."""
        return [value.name for value in self.model.graph.output]

    def opset(self) -> int:
        """Return the version of the standard operators."""
        return max(
            (each.version for each in self.model.opset_import if each.domain in {"", "ai.onnx"}), default=1
        )

    def picture_nodes(self) -> set[str]:
        """Return the names of nodes that work on the image, rather than on shapes and constants."""
        reached = {value.name for value in self.model.graph.input} - set(self.constants)
        found = set()
        for node in self.nodes:
            if node.op_type not in _OF_SHAPES and any(name in reached for name in node.input):
                found.add(node.name)
                reached |= set(node.output)
        return found

    def layers(self) -> list[onnx.NodeProto]:
        """Return nodes with weights: convolutions and matrix products with a constant operand."""
        constants = self.constants
        return [
            node
            for node in self.nodes
            if node.op_type in LAYERS and len(node.input) > 1 and node.input[1] in constants
        ]

    def tail(self) -> list[onnx.NodeProto]:
        """Return the nodes after the last layers, in order. They decode boxes, and no layer follows them."""
        # Tensors that a layer depends on.
        needed: set[str] = set()
        behind = []
        for node in reversed(self.nodes):
            if node.op_type in LAYERS or any(name in needed for name in node.output):
                needed |= set(node.input)
            else:
                behind.append(node)
        pictures = self.picture_nodes()
        return [node for node in reversed(behind) if node.name in pictures]

    def last_layers(self, besides: Collection[str] = ()) -> list[str]:
        """Return the names of the layers that no other layer follows; layers named `besides` are none."""
        needed: set[str] = set()
        last = []
        for node in reversed(self.nodes):
            behind = any(name in needed for name in node.output)
            layer = node.op_type in LAYERS and node.name not in besides
            if layer and not behind:
                last.append(node.name)
            if layer or behind:
                needed |= set(node.input)
        return last


def weights_of(tensor: onnx.TensorProto) -> NDArray[Any]:
    """Return a constant's values."""
    values: NDArray[Any] = numpy_helper.to_array(tensor)
    return values


def constant_tensors(model: onnx.ModelProto) -> set[str]:
    """Return the names of a model's constants before it is simplified."""
    found = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" or (node.op_type == "Identity" and node.input[0] in found):
            found |= set(node.output)
    return found


def _constants_to_initializers(model: onnx.ModelProto) -> None:
    kept = []
    for node in model.graph.node:
        value = _constant(node) if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
        else:
            value.name = node.output[0]
            model.graph.initializer.append(value)
    replace_nodes(model, kept)


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """Return the value of a Constant node; None for a sparse tensor or a string."""
    attribute = node.attribute[0]
    if attribute.name == "value":
        copy: onnx.TensorProto = onnx.TensorProto.FromString(attribute.t.SerializeToString())
        return copy
    kinds = {"value_float": TensorProto.FLOAT, "value_floats": TensorProto.FLOAT}
    kinds |= {"value_int": TensorProto.INT64, "value_ints": TensorProto.INT64}
    if attribute.name not in kinds:
        return None
    value = helper.get_attribute_value(attribute)
    many = isinstance(value, list | tuple) or attribute.name.endswith("s")
    values = list(value) if many else [value]
    return helper.make_tensor("value", kinds[attribute.name], [len(values)] if many else [], values)


def _fold_identities(model: onnx.ModelProto) -> None:
    """Read constants at their source, so that weights are recognized."""
    constants = {tensor.name for tensor in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}
    source: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = source.get(name, name)
        if node.op_type == "Identity" and node.input[0] in constants and node.output[0] not in outputs:
            source[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    replace_nodes(model, kept)


def replace_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Replace the model's nodes; the new ones may be its own."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _name_nodes(model: onnx.ModelProto) -> None:
    seen: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.name or node.op_type}__{number}"
        seen.add(node.name)


def _dtypes(model: onnx.ModelProto) -> dict[str, int]:
    inferred = shape_inference.infer_shapes(model).graph
    found = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    found |= {value.name: value.type.tensor_type.elem_type for value in _values(inferred)}
    return found


def _values(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from graph.input
    yield from graph.value_info
    yield from graph.output
