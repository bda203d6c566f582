"""Which nodes keep a higher precision, and that it helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from tests.models.engines.test_graph import graph_of, model_of, node

from framelane.models.engines.half_precision import to_half
from framelane.models.engines.quantize import quantized_layers
from framelane.models.engines.rules import (
    NOT_IN_INT8,
    box_arithmetic,
    last_layers,
    named,
    normalizations,
    version_for,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

W = np.ones((4, 4, 1, 1), np.float32)
# Large enough for squares that are no halves.
LOUD = np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1) * 500
SCALE = np.ones(8, np.float32)
ROOT = [
    node("Add", "mean_square eps", "padded", "pad"),
    node("Sqrt", "padded", "deviation", "root"),
]
LAYER_NORM = [
    node("ReduceMean", "a", "mean", "mean", axes=[-1]),
    node("Sub", "a mean", "centered", "center"),
    node("Pow", "centered two", "square", "square"),
    node("ReduceMean", "square", "mean_square", "mean_square", axes=[-1]),
    *ROOT,
    node("Div", "centered deviation", "b", "divide"),
]
RMS_NORM = [
    node("Mul", "a a", "square", "square"),
    node("ReduceMean", "square", "mean_square", "mean_square", axes=[-1]),
    *ROOT,
    node("Reciprocal", "deviation", "inverse", "invert"),
    node("Mul", "a inverse", "b", "multiply"),
]
ONE_OPERATOR = [node("LayerNormalization", "a scale", "b", "norm")]
NORMS = {
    "one operator": (ONE_OPERATOR, set()),
    "written out": (LAYER_NORM, {"mean", "center", "square", "mean_square", "pad", "root", "divide"}),
    "without a mean": (RMS_NORM, {"square", "mean_square", "pad", "root", "invert", "multiply"}),
}


def between_layers(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    return [node("Conv", "x w1", "a", "first"), *nodes, node("Conv", "b w2", "y", "last")]


def weights(**changes: Any) -> dict[str, Any]:
    return {"w1": W, "w2": W, "scale": SCALE, "two": 2.0, "eps": 1e-5, **changes}


@pytest.mark.parametrize("kind", NORMS)
def test_what_is_written_out_of_a_normalization_stays_in_float32(kind: str) -> None:
    nodes, expected = NORMS[kind]
    graph = graph_of(between_layers(nodes), **weights())
    assert normalizations(graph) == expected
    assert to_half(graph) == expected


@pytest.mark.parametrize("kind", NORMS)
def test_a_normalization_of_large_values_is_as_exact_as_in_float32(kind: str) -> None:
    model = model_of(between_layers(NORMS[kind][0]), **weights(w1=LOUD))
    values = np.random.default_rng(1).normal(0, 1, (1, 4, 8, 8)).astype(np.float32)
    graph = graph_of(between_layers(NORMS[kind][0]), **weights(w1=LOUD))
    to_half(graph)
    expected, found = run(model, values), run(graph.model, values.astype(np.float16))
    np.testing.assert_allclose(found, expected, atol=0.02)


def run(model: onnx.ModelProto, values: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0]


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Mul", "x x", "s", "square"), node("Add", "s eps", "p", "pad"), node("Sqrt", "p", "y", "root")],
        [node("Sqrt", "x", "d", "root"), node("Div", "x d", "y", "divide")],
    ],
    ids=["a length", "a root"],
)
def test_other_roots_are_no_normalizations(nodes: list[onnx.NodeProto]) -> None:
    assert normalizations(graph_of(nodes, **weights())) == set()


DISTRIBUTION = [
    node("Conv", "x w1", "a", "first"),
    node("Conv", "a w2", "logits", "box"),
    node("Softmax", "logits", "shares", "softmax", axis=1),
    node("Transpose", "shares", "turned", "turn", perm=[0, 1, 3, 2]),
    node("Conv", "turned bins", "distance", "mean"),
    node("Mul", "distance two", "y", "pixels"),
]
BINS = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)


def test_the_layer_before_a_distribution_is_a_last_one() -> None:
    graph = graph_of(DISTRIBUTION, **weights(bins=BINS))
    assert last_layers(graph) == {"box", "mean"}
    assert [each.name for each in quantized_layers(graph)] == ["first"]
    assert box_arithmetic(graph) == {"pixels"}


def test_attention_is_no_distribution() -> None:
    attention = [
        node("Conv", "x w1", "a", "first"),
        node("Conv", "a w2", "v", "values"),
        node("Softmax", "a", "shares", "softmax"),
        node("MatMul", "shares v", "b", "attend"),
        node("Conv", "b w1", "y", "last"),
    ]
    assert last_layers(graph_of(attention, **weights())) == {"last"}


def test_grouped_convolutions_are_left_alone() -> None:
    grouped = node("Conv", "a w3", "b", "grouped", group=4)
    graph = graph_of(between_layers([grouped]), **weights(w3=np.ones((4, 1, 1, 1))))
    assert named(NOT_IN_INT8, graph) == {"grouped", "last"}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (between_layers([node("Relu", "a", "b")]), (1, 1, 1)),
        (between_layers(ONE_OPERATOR), (1, 1, 1)),
        (between_layers(LAYER_NORM), (1, 2, 2)),
        (DISTRIBUTION, (1, 1, 2)),
    ],
    ids=["convolutions", "normalization", "normalization, written out", "distribution"],
)
def test_only_engines_that_a_newer_rule_changes_have_another_key(
    nodes: list[onnx.NodeProto], expected: tuple[int, int, int], tmp_path: Path
) -> None:
    onnx.save(model_of(nodes, **weights(bins=BINS)), tmp_path / "m.onnx")
    found = tuple(version_for(tmp_path / "m.onnx", precision) for precision in ("fp32", "fp16", "int8"))
    assert found == expected
