"""The nodes that keep a higher precision than the rest of an engine, kind by kind, each with its reason.

The rules go by what a graph computes and not by its head: so they hold for families that nobody has named yet, and
the same file always gives the same engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx

from framelane.models.engines.graph import LAYERS, Graph, constant_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from framelane.models.engines.key import Precision

# After the last layer, these turn the network's values into pixels. A half has steps of 0.5 from 512 to 1024.
_BOX_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Exp"})
# A normalization that is written out, backwards from its root: x - mean squared, the mean of it, plus epsilon.
_WRITTEN_OUT = (frozenset({"Add"}), frozenset({"ReduceMean"}), frozenset({"Pow", "Mul"}))
_SAME_VALUES = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of nodes.

    Attributes:
        name: what they are.
        why: what goes wrong otherwise.
        find: returns their names.
        version: the first version of the conversion that follows the rule; part of an engine's key, if `concerns`
            finds such nodes in the file.
        concerns: returns whether a file may have such nodes, without simplifying it; None for a rule that is as
            old as the conversion.
    """

    name: str
    why: str
    find: Callable[[Graph], set[str]]
    version: int = 1
    concerns: Callable[[onnx.ModelProto], bool] | None = None


def shapes_and_constants(graph: Graph) -> set[str]:
    """Return nodes that work only on shapes and constants."""
    pictures = graph.picture_nodes()
    return {node.name for node in graph.nodes if node.name not in pictures}


def box_arithmetic(graph: Graph) -> set[str]:
    """Return the first arithmetic on boxes behind the last layers, with everything after it.

    A head with raw offsets has no such arithmetic.
    """
    found: set[str] = set()
    exact: set[str] = set()
    for node in graph.tail():
        if node.op_type in _BOX_ARITHMETIC or any(name in exact for name in node.input):
            found.add(node.name)
            exact |= set(node.output)
    return found


def normalizations(graph: Graph) -> set[str]:
    """Return normalizations that are written out. LayerNormalization sums in float32 by itself (`stash_type`)."""
    return {node.name for node in _normalizations(graph.nodes)}


def last_layers(graph: Graph) -> set[str]:
    """Return the layers behind which no other layer follows, and the distributions that some of them end in.

    The box of YOLOv8 to 12, YOLO-NAS and D-FINE is the mean of a distribution: softmax, then a layer whose weights
    are 0, 1, 2, ... That layer is arithmetic; the last one is that before it.
    """
    means = {node.name for node in _means_of_distributions(graph.nodes, set(graph.constants))}
    return means | set(graph.last_layers(besides=means))


def grouped_layers(graph: Graph) -> set[str]:
    """Return grouped convolutions."""
    return {
        node.name
        for node in graph.layers()
        if any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
    }


def _has_normalizations(model: onnx.ModelProto) -> bool:
    return bool(_normalizations(_all_nodes(model)))


def _has_distributions(model: onnx.ModelProto) -> bool:
    return bool(_means_of_distributions(_all_nodes(model), constant_tensors(model)))


IN_FLOAT = (
    Rule("shapes and constants", "anchors and sizes are exact", shapes_and_constants),
    Rule("boxes in pixels", "above 512 a half has steps of half a pixel", box_arithmetic),
    Rule(
        "normalizations that are written out",
        "squares beyond 256 are infinite as halves, and sums of many halves lose digits",
        normalizations,
        2,
        _has_normalizations,
    ),
)
"""What stays in float32 where the network becomes half."""

NOT_IN_INT8 = (
    Rule(
        "last layers", "boxes and scores have more digits than eight bits", last_layers, 2, _has_distributions
    ),
    Rule(
        "grouped convolutions",
        "one range for all channels fits few of them: YOLOX-nano has mAP .055 with them in INT8, .336 without",
        grouped_layers,
    ),
)
"""What INT8 leaves alone; only convolutions are quantized at all."""

_RULES: dict[Precision, tuple[Rule, ...]] = {
    "fp32": (),
    "fp16": IN_FLOAT,
    "int8": (*IN_FLOAT, *NOT_IN_INT8),
}


def named(rules: Iterable[Rule], graph: Graph) -> set[str]:
    """Return the names of all nodes that some rules are about."""
    return set().union(*(rule.find(graph) for rule in rules))


def version_for(path: Path, precision: Precision) -> int:
    """Return the version of the conversion that decides what an engine of a file computes.

    A rule that finds nothing in a file leaves the file's engines valid.
    """
    rules = [rule for rule in _RULES[precision] if rule.concerns is not None]
    if not rules:
        return 1
    model = onnx.load(str(path), load_external_data=False)
    return max(
        (rule.version for rule in rules if rule.concerns is not None and rule.concerns(model)), default=1
    )


def _all_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [*model.graph.node, *(node for function in model.functions for node in function.node)]


def _normalizations(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    makers = {name: node for node in nodes for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = []
    for node in nodes:
        spread = _spread(node, makers) if node.op_type == "Sqrt" else []
        if spread:
            found += [node, *spread, *_divisions(node, readers)]
    return found


def _spread(root: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the nodes that compute a variance, with those that subtract the mean; none if it is something else."""
    found: list[onnx.NodeProto] = []
    last = root
    for kinds in (*_WRITTEN_OUT, frozenset({"Sub"}), frozenset({"ReduceMean"})):
        makes = (makers[name] for name in last.input if name in makers)
        step = next((node for node in makes if node.op_type in kinds), None)
        if step is None:
            break
        found.append(step)
        last = step
    return found if len(found) >= len(_WRITTEN_OUT) else []


def _divisions(root: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> list[onnx.NodeProto]:
    """Return what divides by a deviation: a division, or a reciprocal and the products with it."""
    found = []
    for node in readers.get(root.output[0], []):
        if node.op_type in {"Div", "Reciprocal"}:
            found.append(node)
        if node.op_type == "Reciprocal":
            found += [each for each in readers.get(node.output[0], []) if each.op_type == "Mul"]
    return found


def _means_of_distributions(nodes: Sequence[onnx.NodeProto], constants: set[str]) -> list[onnx.NodeProto]:
    """Return layers with constant weights that read a softmax."""
    makers = {name: node for node in nodes for name in node.output}
    found = []
    for node in nodes:
        if node.op_type in LAYERS and len(node.input) > 1 and node.input[1] in constants:
            source = makers.get(node.input[0])
            while source is not None and source.op_type in _SAME_VALUES:
                source = makers.get(source.input[0])
            if source is not None and source.op_type == "Softmax":
                found.append(node)
    return found
