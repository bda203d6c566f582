"""What is simplified in a graph, and how its nodes are classified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from framelane.core.errors import ModelError
from framelane.models.engines.graph import Graph, replace_nodes, weights_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def node(kind: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), name, **attributes)


def model_of(nodes: Sequence[onnx.NodeProto], outputs: str = "y", **weights: Any) -> onnx.ModelProto:
    """A model of one image input, with weights as constants."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])
    graph = helper.make_graph(
        list(nodes),
        "g",
        [image],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def graph_of(nodes: Sequence[onnx.NodeProto], outputs: str = "y", **weights: Any) -> Graph:
    return Graph.of(model_of(nodes, outputs, **weights), "m.onnx")


def names(nodes: Sequence[onnx.NodeProto]) -> list[str]:
    return [each.name for each in nodes]


W = np.ones((4, 4, 1, 1))


@pytest.mark.parametrize(
    ("attribute", "value", "dtype", "expected"),
    [
        ("value", numpy_helper.from_array(np.array([[2.0]], np.float32)), TensorProto.FLOAT, [[2.0]]),
        ("value_float", 0.5, TensorProto.FLOAT, 0.5),
        ("value_floats", [0.5, 1.5], TensorProto.FLOAT, [0.5, 1.5]),
        ("value_int", 7, TensorProto.INT64, 7),
        ("value_ints", [7], TensorProto.INT64, [7]),
    ],
)
def test_constants_become_initializers(attribute: str, value: Any, dtype: int, expected: Any) -> None:
    graph = graph_of([node("Constant", "", "c", **{attribute: value}), node("Identity", "x", "y")])
    assert [each.op_type for each in graph.nodes] == ["Identity"]
    assert (dtype, expected) == (graph.dtypes["c"], weights_of(graph.constants["c"]).tolist())


def test_constants_of_texts_stay_nodes() -> None:
    graph = graph_of([node("Constant", "", "c", value_string="a"), node("Identity", "x", "y")])
    assert [each.op_type for each in graph.nodes] == ["Constant", "Identity"]


def test_identities_of_constants_are_read_at_their_source() -> None:
    nodes = [node("Identity", "w", "v"), node("Identity", "v", "u"), node("Conv", "x u", "y", "conv")]
    graph = graph_of(nodes, w=W)
    assert names(graph.nodes) == ["conv"]
    assert list(graph.nodes[0].input) == ["x", "w"]
    assert names(graph.layers()) == ["conv"]


def test_identities_stay_when_they_are_outputs_or_of_no_constant() -> None:
    graph = graph_of([node("Identity", "w", "y"), node("Identity", "x", "z")], "y z", w=W)
    assert [each.op_type for each in graph.nodes] == ["Identity"] * 2


def test_every_node_gets_its_own_name() -> None:
    nodes = [node("Relu", "x", "a", "same"), node("Relu", "a", "b", "same"), node("Relu", "b", "y")]
    assert names(graph_of(nodes).nodes) == ["same", "same__1", "Relu__2"]


def test_branches_are_refused() -> None:
    model = model_of([node("Relu", "x", "y")])
    branch = helper.make_graph(
        [], "then", [], [helper.make_tensor_value_info("raw", TensorProto.FLOAT, None)]
    )
    model.graph.node.append(
        helper.make_node("If", ["cond"], ["z"], "choice", then_branch=branch, else_branch=branch)
    )
    with pytest.raises(ModelError, match=r"node `choice`, operator If.*build it with precision fp32"):
        Graph.of(model, "m.onnx")


def test_a_file_that_can_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.onnx").write_bytes(b"\xff\xff")
    for name in ("torn.onnx", "none.onnx"):
        with pytest.raises(ModelError, match=rf"{name} can't be read as ONNX: "):
            Graph.load(tmp_path / name)


def test_layers_have_constant_weights() -> None:
    nodes = [
        node("Conv", "x w", "a", "conv"),
        node("MatMul", "a a", "b", "attention"),
        node("MatMul", "b m", "c", "product"),
        node("Relu", "c", "y", "relu"),
    ]
    assert names(graph_of(nodes, w=W, m=np.ones((8, 8))).layers()) == ["conv", "product"]


def test_the_tail_is_what_follows_all_layers_and_works_on_the_image() -> None:
    nodes = [
        node("Conv", "x w", "a", "first"),
        node("Relu", "a", "b", "between"),
        node("Conv", "b w", "c", "left"),
        node("Conv", "b w", "d", "right"),
        node("Add", "c d", "e", "sum"),
        node("Shape", "x", "s", "shape"),
        node("Add", "s s", "t", "of shapes"),
        node("Sigmoid", "e", "y", "score"),
    ]
    graph = graph_of(nodes, "y t", w=W)
    assert names(graph.tail()) == ["sum", "score"]
    assert graph.last_layers() == ["right", "left"]
    assert graph.picture_nodes() == {"first", "between", "left", "right", "sum", "score"}


def test_the_tail_is_all_when_there_are_no_layers() -> None:
    graph = graph_of([node("Relu", "x", "a", "relu"), node("Neg", "a", "y", "neg")])
    assert (names(graph.tail()), graph.last_layers()) == (["relu", "neg"], [])


def test_a_constant_that_is_also_an_input_is_none_of_the_image() -> None:
    """As files of IR version 3 declare their weights."""
    model = model_of([node("Relu", "w", "a", "of weights"), node("Conv", "x a", "y", "conv")], w=W)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 4, 1, 1]))
    assert Graph.of(model, "m.onnx").picture_nodes() == {"conv"}


def test_types_of_inner_tensors_are_inferred() -> None:
    graph = graph_of(
        [node("Cast", "x", "h", to=TensorProto.FLOAT16), node("Cast", "h", "y", to=TensorProto.FLOAT)]
    )
    assert [graph.dtypes[name] for name in "xhy"] == [
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.FLOAT,
    ]
    assert (graph.outputs, graph.opset()) == (["y"], 17)


def test_opset_is_that_of_the_standard_operators() -> None:
    model = model_of([node("Relu", "x", "y")])
    model.opset_import.append(helper.make_opsetid("com.microsoft", 99))
    assert Graph.of(model, "m.onnx").opset() == 17


def test_replace_nodes_takes_the_models_own_nodes() -> None:
    model = model_of([node("Relu", "x", "a", "first"), node("Relu", "a", "y", "second")])
    replace_nodes(model, reversed(model.graph.node))
    assert names(list(model.graph.node)) == ["second", "first"]
