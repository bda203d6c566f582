"""Cuts TensorRT's suppression plugins off a model.

EfficientNMS_TRT and BatchedNMS_TRT are known to TensorRT up to version 10 alone, and suppress with the thresholds
of the export. Without them the model gives boxes [N, A, 4], corners in pixels, and scores [N, A, C], and Framelane
suppresses with each stream's own thresholds. Source: TensorRT's plugin/efficientNMSPlugin and
plugin/batchedNMSPlugin.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx

HEAD = "yolo-nas"
"""The head that reads what remains."""
_BOXES, _SCORES, _ANCHORS = 0, 1, 2
_RANK, _BOX = 3, 4
# The first opset whose Slice takes its bounds as inputs.
_LEAST_OPSET = 10
_END = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Names:
    """What a plugin calls its attributes; None for one that it lacks."""

    background: str
    score: str
    iou: str
    centers: str | None = None
    sigmoid: str | None = None
    agnostic: str | None = None


_BATCHED = _Names("backgroundLabelId", "scoreThreshold", "iouThreshold")
PLUGINS = {
    "EfficientNMS_TRT": _Names(
        "background_class",
        "score_threshold",
        "iou_threshold",
        "box_coding",
        "score_activation",
        "class_agnostic",
    ),
    "BatchedNMS_TRT": _BATCHED,
    "BatchedNMSDynamic_TRT": _BATCHED,
}


def without_plugin(path: Path) -> tuple[bytes, str]:
    """Return the model of a file without its plugin, serialized, and what was done, as a sentence.

    Raises:
        ModelError: it can't be read, has no such plugin, or one whose inputs no head reads.
    """
    import onnx  # noqa: PLC0415 - 15 MB, which only such files need
    from google.protobuf.message import DecodeError, EncodeError  # noqa: PLC0415 - likewise

    try:
        model = onnx.load(str(path))
        done = cut(model, str(path))
        if done is None:
            raise ModelError(
                f"{path} has a suppression plugin within a function or a branch; export it without suppression (NMS)"
            )
        return model.SerializeToString(), done
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{path} can't be read as ONNX: {error}") from error
    except (ValueError, EncodeError) as error:
        raise ModelError(
            f"{path} is larger than 2 GB, too large to cut its suppression off; export it without suppression (NMS)"
        ) from error


def cut(model: onnx.ModelProto, name: str) -> str | None:
    """Cut the plugin off a model, which is edited; return what was done, or None if it has no plugin.

    Args:
        model: the model.
        name: its name in messages.

    Raises:
        ModelError: the plugin's inputs are no boxes and scores that a head reads.
    """
    found = [node for node in model.graph.node if node.op_type in PLUGINS]
    if not found:
        return None
    plugin = found[0]
    wrong = _unreadable(model, found)
    if wrong is not None:
        raise ModelError(
            f"{name} ends in {plugin.op_type}, and {wrong}; export the model without suppression (NMS) in the graph"
        )
    return _Cut(model, plugin).make()


def _unreadable(model: onnx.ModelProto, found: list[onnx.NodeProto]) -> str | None:
    """Return why what a plugin reads can't be an output."""
    plugin, read = found[0], _read(found[0])
    opset = max((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), default=1)
    odd = [each.name for each in plugin.attribute if each.name in read and _number(each) is None]
    faults = (
        (len(found) > 1, f"has {len(found)} of them"),
        (opset < _LEAST_OPSET, f"opset {opset} is too old to cut it off"),
        (len(plugin.input) <= _SCORES, "that operator has no boxes and scores to read"),
        (bool(odd), f"its attributes are no numbers ({', '.join(odd)})"),
        (any(plugin.input[_ANCHORS:]), "leaves it to that operator to decode boxes from anchors"),
    )
    fault = next((text for wrong, text in faults if wrong), None)
    return fault or _boxes_of_classes(model, plugin)


def _boxes_of_classes(model: onnx.ModelProto, plugin: onnx.NodeProto) -> str | None:
    """Return that each class has a box of its own; None if all share one."""
    shape = _types(model).get(plugin.input[_BOXES], (0, None))[1]
    if shape is not None and len(shape) > _RANK and shape[2] != 1:
        return f"gives each class its own box ({_text(shape)})"
    return None


def _read(plugin: onnx.NodeProto) -> set[str]:
    """Return the names of the attributes that are read."""
    return {name for name in astuple(PLUGINS[plugin.op_type]) if name is not None}


def _number(attribute: onnx.AttributeProto) -> float | None:
    """Return an attribute that is a number, or a list of one, as some exporters write it."""
    values = [*attribute.ints, *attribute.floats]
    if len(values) == 1:
        return float(values[0])
    kinds = {attribute.INT: attribute.i, attribute.FLOAT: attribute.f}
    return float(kinds[attribute.type]) if attribute.type in kinds else None


class _Cut:
    """Replaces a plugin by what it reads: corners and scores."""

    def __init__(self, model: onnx.ModelProto, plugin: onnx.NodeProto) -> None:
        self._model = model
        self._plugin = plugin
        self._names = PLUGINS[plugin.op_type]
        self._given = {each.name: _number(each) or 0.0 for each in plugin.attribute}
        self._types = _types(model)
        self._taken = {each for node in model.graph.node for each in (*node.input, *node.output)}
        self._taken |= {value.name for value in (*model.graph.input, *model.graph.initializer)}
        self._added: list[onnx.NodeProto] = []

    def make(self) -> str:
        """Edit the model, and return what was done."""
        boxes, scores = self._corners(), self._activated()
        lost = self._replace({"boxes": boxes, "scores": scores})
        _drop_unused(self._model)
        across = self._value(self._names.agnostic)
        agnostic = "; it suppressed across classes, Framelane suppresses within each" if across else ""
        thresholds = ", ".join(
            f"{what} {self._given[key]:.3g}"
            for what, key in (("score", self._names.score), ("IoU", self._names.iou))
            if key in self._given
        )
        exported = f" ({thresholds})" if thresholds else ""
        more = f"; outputs that came after it are gone: {', '.join(lost)}" if lost else ""
        return (
            f"its operator {self._plugin.op_type} was cut off: `confidence` and `iou` of the configuration "
            f"count, not the thresholds of the export{exported}{agnostic}{more}"
        )

    def _value(self, name: str | None) -> int:
        return int(self._given.get(name, 0)) if name else 0

    def _corners(self) -> str:
        """Return the tensor with corners [N, A, 4]."""
        boxes = str(self._plugin.input[_BOXES])
        dtype, shape = self._types.get(boxes, (0, None))
        if shape is None or len(shape) != _RANK:
            boxes = self._add("Reshape", [boxes, self._constant([0, -1, _BOX])])
        if not self._value(self._names.centers):
            return boxes
        center, size = (self._columns(boxes, begin, begin + 2) for begin in (0, 2))
        half = self._add("Mul", [size, self._constant([0.5], dtype)])
        return self._joined([self._add("Sub", [center, half]), self._add("Add", [center, half])])

    def _activated(self) -> str:
        """Return the tensor with scores [N, A, C] of 0..1; those of the background are 0."""
        scores = str(self._plugin.input[_SCORES])
        dtype = self._types.get(scores, (0, None))[0]
        if self._value(self._names.sigmoid):
            scores = self._add("Sigmoid", [scores])
        background = int(self._given.get(self._names.background, -1))
        if background < 0:
            return scores
        own = self._columns(scores, background, background + 1)
        before = [self._columns(scores, 0, background)] if background else []
        nothing = self._add("Mul", [own, self._constant([0.0], dtype)])
        return self._joined([*before, nothing, self._columns(scores, background + 1, _END)])

    def _joined(self, tensors: list[str]) -> str:
        return self._add("Concat", tensors, _RANK - 1)

    def _columns(self, tensor: str, begin: int, end: int) -> str:
        bounds = [self._constant([each]) for each in (begin, end, _RANK - 1)]
        return self._add("Slice", [tensor, *bounds])

    def _constant(self, values: list[Any], dtype: int = 0) -> str:
        """Add an initializer: of whole numbers, or of the type of a tensor."""
        from onnx import TensorProto, helper  # noqa: PLC0415 - as above

        kind = TensorProto.INT64 if isinstance(values[0], int) else dtype or TensorProto.FLOAT
        name = self._free("constant")
        self._model.graph.initializer.append(helper.make_tensor(name, kind, [len(values)], values))
        return name

    def _add(self, operator: str, inputs: list[str], axis: int | None = None) -> str:
        from onnx import helper  # noqa: PLC0415 - as above

        name = self._free(operator.lower())
        node = helper.make_node(operator, inputs, [name], name)
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        self._added.append(node)
        return name

    def _free(self, name: str) -> str:
        """Return a name that no tensor has."""
        number = 0
        while (free := f"{name}_{number}" if number else name) in self._taken:
            number += 1
        self._taken.add(free)
        return free

    def _replace(self, outputs: dict[str, str]) -> list[str]:
        """Put the added nodes in place of the plugin and all that reads its outputs; return other outputs that go."""
        from onnx import helper  # noqa: PLC0415 - as above

        graph = self._model.graph
        gone: set[str] = set()
        kept = []
        for node in graph.node:
            if node.op_type in PLUGINS or gone.intersection(node.input):
                gone |= set(node.output)
            else:
                kept.append(node)
        lost = [value.name for value in graph.output if value.name in gone - set(self._plugin.output)]
        left = [value for value in graph.output if value.name not in gone]
        made = []
        for source, (name, tensor) in zip(self._plugin.input, outputs.items(), strict=False):
            free, dtype = self._free(name), self._types.get(source, (0, None))[0]
            self._added.append(helper.make_node("Identity", [tensor], [free], free))
            made.append(helper.make_tensor_value_info(free, dtype, [None] * _RANK))
        _refill(graph.node, [*kept, *self._added])
        _refill(graph.output, [*made, *left])
        return lost


def _drop_unused(model: onnx.ModelProto) -> None:
    """Drop nodes and weights that no output needs, and the plugin's set of operators."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed |= set(_read_by(node))
            nodes.append(node)
    _refill(graph.node, nodes[::-1])
    _refill(graph.initializer, [each for each in graph.initializer if each.name in needed])
    domains = {node.domain for node in nodes} | {function.domain for function in model.functions}
    used = [each for each in model.opset_import if each.domain in domains | {"", "ai.onnx"}]
    _refill(model.opset_import, used)


def _read_by(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the tensors that a node reads, in branches and loops too."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read_by(inner)
            yield from (value.name for value in graph.output)


def _refill(field: Any, values: list[Any]) -> None:  # noqa: ANN401 - protobuf's repeated fields have no types
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(copies)


def _types(model: onnx.ModelProto) -> dict[str, tuple[int, list[int] | None]]:
    """Return element type and shape of each tensor as far as they are known; open dimensions are 0."""
    from onnx import shape_inference  # noqa: PLC0415 - as above

    graph = shape_inference.infer_shapes(model).graph
    found: dict[str, tuple[int, list[int] | None]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        shape = [dim.dim_value for dim in kind.shape.dim] if kind.HasField("shape") else None
        found[value.name] = kind.elem_type, shape
    return found


def _text(shape: list[int]) -> str:
    return "[" + ", ".join(str(dim or "?") for dim in shape) + "]"
