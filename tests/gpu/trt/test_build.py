"""Building against a stand-in: what TensorRT is told, and how its failures are put."""

# ruff: noqa: E501, ISC004 - messages read best whole

from __future__ import annotations

from typing import Any

import pytest
from onnx import TensorProto, helper
from structlog.testing import capture_logs
from tests.gpu.trt.fake_trt import fake_trt

from framelane.core.errors import ModelError
from framelane.gpu.trt.build import BuildRequest, build
from framelane.gpu.trt.inspect import describe
from framelane.gpu.trt.log import Journal
from framelane.gpu.trt.progress import LayerCount

Told = list[tuple[str, int, int]]


def request(**changes: Any) -> BuildRequest:
    batch = changes.pop("dim", "N")
    shape = [batch, 3, 32, 32]
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["images"], ["r"], "act"),
            helper.make_node("Mul", ["r", "r"], ["out"], "decode"),
        ],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
    )
    values: dict[str, Any] = {
        "name": "m.onnx",
        "model": helper.make_model(graph).SerializeToString(),
        "nodes": [("act", "Relu"), ("decode", "Mul")],
        "image": "images",
        "shapes": ((1, 3, 32, 32), (8, 3, 32, 32), (16, 3, 32, 32)),
        "precision": "fp16",
        "halves": True,
        "exact": frozenset({"decode"}),
        "workspace": 4 << 30,
    }
    return BuildRequest(**(values | changes))


def test_the_builder_is_told_everything() -> None:
    trt = fake_trt("8.5.3.1")
    built = build(trt, request(level=1, tactic_sources=("EDGE_MASK_CONVOLUTIONS",), timing=b"old"))
    assert (built.plan, built.timing) == (b"plan", b"old+")
    assert trt.config.flags == {"FP16", "ENABLE_TACTIC_HEURISTIC", "PREFER_PRECISION_CONSTRAINTS"}
    assert trt.config.limits == {"WORKSPACE": 4 << 30}
    assert trt.config.profiles[0].shapes == {"images": ((1, 3, 32, 32), (8, 3, 32, 32), (16, 3, 32, 32))}
    assert [layer.precision for layer in trt.network.layers] == [None, trt.float32]


def test_a_strongly_typed_network_takes_no_flags() -> None:
    trt = fake_trt("10.9.0.34")
    build(trt, request())
    assert trt.calls[0] == ("create_network", 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.config.flags == set()


def test_the_images_sizes_have_the_profile_of_the_images() -> None:
    trt = fake_trt("10.6.0")
    sizes = helper.make_tensor_value_info("sizes", TensorProto.INT64, ["n", 2])
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 32, 32])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 3, 32, 32])
    graph = helper.make_graph(
        [helper.make_node("Relu", ["images"], ["out"], "act")], "g", [sizes, images], [out]
    )
    build(trt, request(model=helper.make_model(graph).SerializeToString(), sizes="sizes"))
    assert trt.config.profiles[0].shapes == {
        "images": ((1, 3, 32, 32), (8, 3, 32, 32), (16, 3, 32, 32)),
        "sizes": ((1, 2), (8, 2), (16, 2)),
    }


def test_fixed_shapes_need_no_profile() -> None:
    trt = fake_trt("8.6.1")
    build(trt, request(dim=16))
    assert trt.config.profiles == []


@pytest.mark.parametrize(("timing", "kept"), [(b"foreign", b"foreign+"), (b"garbage", b"+"), (b"", b"+")])
def test_a_timing_cache_is_used_as_far_as_it_can_be(timing: bytes, kept: bytes) -> None:
    assert build(fake_trt("8.5.3.1"), request(timing=timing)).timing == kept


@pytest.mark.parametrize("version", ["8.5.3.1", "11.4.0.106"])
def test_what_fails_to_parse_is_named(version: str) -> None:
    trt = fake_trt(version, parse_errors=[(1, "No importer registered\nfor op: Mul", "decode", "Mul")])
    with pytest.raises(ModelError) as raised:
        build(trt, request())
    assert str(raised.value) == (
        f"m.onnx can't be parsed by TensorRT {version}: node `decode`, operator Mul: No importer registered for op: Mul. "
        "Export it again with plain ONNX operators (opset 17), or run it with `backend: onnxruntime`"
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "[virtualMemoryBuffer.cpp::resizePhysical::132] Error Code 2: OutOfMemory (no further information)",
            "m.onnx: the GPU's memory ran out while the engine was built; lower `engine.workspace` (--workspace, now 4 "
            "GiB) or `batch` (--batch, now 16), or free memory on it",
        ),
        (
            "10: [optimizer.cpp::computeCosts::3728] Error Code 10: Internal Error (Could not find any implementation for"
            " node Conv_3 due to insufficient workspace. See verbose log.)",
            "m.onnx: no kernel for Conv_3 works within the workspace of 4 GiB; raise `engine.workspace` (--workspace)",
        ),
        (
            "Error Code 10: Internal Error (Could not find any implementation for node Conv_3.)",
            "m.onnx: TensorRT has no kernel for Conv_3 on this GPU; only JIT_CONVOLUTIONS were allowed",
        ),
        ("4: something else", "m.onnx: TensorRT could not build an engine: 4: something else"),
    ],
)
def test_a_failed_build_names_what_to_change(said: str, expected: str) -> None:
    trt = fake_trt("8.5.3.1", plan=None, says=[("ERROR", said)])
    with pytest.raises(ModelError) as raised:
        build(trt, request(tactic_sources=("JIT_CONVOLUTIONS",)))
    assert str(raised.value) == expected


def test_no_gpu_is_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"^TensorRT 8\.5\.3\.1 can't use this GPU; its log says why$"):
        build(fake_trt("8.5.3.1", no_gpu=True), request())


def test_progress_comes_from_the_monitor_where_there_is_one() -> None:
    told: Told = []
    build(fake_trt("10.9.0.34"), request(), lambda *step: told.append(step))
    """A step within says that it gets on: the service manager waits no longer than it is told to."""
    steps = [0, 0, 1, 2]
    assert told == [("Building Engine", done, 2) for done in steps]


def test_progress_is_counted_from_the_log_elsewhere() -> None:
    told: Told = []
    count = LayerCount(lambda *step: told.append(step))
    for text in (
        "After vertical fusions: 3 layers",
        "After final dead-layer removal: 2 layers",
        "--------------- Timing Runner: Conv_0 + Relu_1 (CaskConvolution)",
        "--------------- Timing Runner: Conv_0 + Relu_1 (CudnnConvolution)",
        "--------------- Timing Runner: Mul_2 (PointWiseV2)",
    ):
        count("VERBOSE", text)
    assert told == [("timing kernels", 1, 2), ("timing kernels", 2, 2)]


def test_an_engine_is_described() -> None:
    trt = fake_trt("8.5.3.1")
    built = build(trt, request())
    described = describe(trt, built.plan, "m.engine")
    assert [(each.name, each.dtype, each.shape, each.is_input) for each in described.bindings] == [
        ("images", "float32", (-1, 3, 32, 32), True),
        ("out", "float32", (-1, 3, 32, 32), False),
    ]
    assert [(each.name, each.kind, each.precision) for each in described.layers] == [
        ("Conv_0", "CaskConvolution", "int8 -> fp16"),
        ("Mul_1", "PointWise", "fp32"),
        ("Reshape_2", "", ""),
    ]


def test_the_log_says_a_warning_once_and_leaves_a_builds_errors_to_it() -> None:
    journal = Journal()
    heard: list[str] = []
    with capture_logs() as logged:
        with journal.listening(lambda _severity, text: heard.append(text)):
            journal.heard("ERROR", "does not fit")
        for text in ("once", "once"):
            journal.heard("WARNING", text)
        journal.heard("ERROR", "lost")
    assert heard == ["does not fit"]
    levels = [(line["log_level"], line["text"]) for line in logged]
    assert levels == [("debug", "does not fit"), ("warning", "once"), ("debug", "once"), ("error", "lost")]
