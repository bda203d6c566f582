"""What differs between TensorRT's versions, on stand-ins for 8.5, 8.6, 10 and 11."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.gpu.trt.fake_trt import Config, ConfigWithLevel, Layer, Network, Tensor, fake_trt

from framelane.core.errors import ModelError
from framelane.gpu.errors import GpuError
from framelane.gpu.trt import versions

ALL = ("8.5.3.1", "8.6.1", "10.9.0.34", "11.4.0.106")


@pytest.fixture(params=ALL)
def trt(request: pytest.FixtureRequest) -> Any:
    return fake_trt(request.param)


def config_of(trt: Any) -> Any:
    return (Config if trt.number < (8, 6) else ConfigWithLevel)(trt)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("8.5.3.1", (8, 5, 3, 1)), ("10.9.0.34", (10, 9, 0, 34)), ("11.4.0rc1", (11, 4, 0, 1))],
)
def test_version_is_read(version: str, expected: tuple[int, ...]) -> None:
    assert expected == versions.version(SimpleNamespace(__version__=version))


@pytest.mark.parametrize(
    ("version", "typed"),
    [
        ("8.5.3.1", {"fp32": False, "fp16": False, "int8": False}),
        ("8.6.1", {"fp32": False, "fp16": False, "int8": False}),
        ("10.9.0.34", {"fp32": True, "fp16": True, "int8": False}),
        ("11.4.0.106", {"fp32": True, "fp16": True, "int8": True}),
    ],
)
def test_strong_types_where_the_version_has_them(version: str, typed: dict[str, bool]) -> None:
    assert typed == {precision: versions.strongly_typed(fake_trt(version), precision) for precision in typed}


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("8.5.3.1", ["EXPLICIT_BATCH"]),
        ("8.6.1", ["EXPLICIT_BATCH"]),
        ("10.9.0.34", ["STRONGLY_TYPED"]),
        ("11.4.0.106", ["STRONGLY_TYPED"]),
    ],
)
def test_network_flags(version: str, names: list[str]) -> None:
    trt = fake_trt(version)
    flags = trt.NetworkDefinitionCreationFlag
    expected = sum(1 << int(flags[name]) for name in names)
    assert expected == versions.network_flags(trt, typed=versions.strongly_typed(trt, "fp16"))


@pytest.mark.parametrize(
    ("version", "precision", "halves", "flags"),
    [
        ("8.5.3.1", "fp32", False, set()),
        ("8.5.3.1", "fp32", True, {"FP16"}),
        ("8.5.3.1", "fp16", True, {"FP16"}),
        ("8.5.3.1", "int8", False, {"FP16", "INT8"}),
        ("10.9.0.34", "fp16", True, set()),
        ("10.9.0.34", "int8", False, {"FP16", "INT8"}),
        ("11.4.0.106", "int8", True, set()),
    ],
)
def test_precision_flags(version: str, precision: str, halves: bool, flags: set[str]) -> None:  # noqa: FBT001
    trt = fake_trt(version)
    config = config_of(trt)
    typed = versions.strongly_typed(trt, precision)
    versions.set_precision(trt, config, precision, typed=typed, halves=halves)
    assert flags == config.flags
    assert ({"TF32"} if precision == "fp32" else set()) == config.cleared


def test_arithmetic_on_boxes_is_kept_in_float() -> None:
    trt = fake_trt("8.5.3.1")
    network, config = Network(0), config_of(trt)
    floats, halves = trt.float32, trt.DataType.HALF
    network.layers = [
        Layer("decode", trt.LayerType.ELEMENTWISE, Tensor("a", floats, ())),
        Layer("silu", trt.LayerType.ELEMENTWISE, Tensor("b", floats, ())),
        Layer("join", trt.LayerType.SHUFFLE, Tensor("c", floats, ())),
        Layer("half", trt.LayerType.ELEMENTWISE, Tensor("d", halves, ())),
    ]
    assert versions.keep_float(trt, config, network, {"decode", "join", "half"}) == 1
    assert [layer.precision for layer in network.layers] == [floats, None, None, None]
    assert network.layers[0].output_types == {0: floats}
    assert config.flags == {"PREFER_PRECISION_CONSTRAINTS"}


@pytest.mark.parametrize(
    ("version", "level", "set_to", "flags"),
    [
        ("8.5.3.1", None, None, set()),
        ("8.5.3.1", 2, None, {"ENABLE_TACTIC_HEURISTIC"}),
        ("8.5.3.1", 3, None, set()),
        ("8.6.1", 2, 2, set()),
        ("10.9.0.34", 5, 5, set()),
        ("11.4.0.106", 0, 0, set()),
    ],
)
def test_level(version: str, level: int | None, set_to: int | None, flags: set[str]) -> None:
    trt = fake_trt(version)
    config = config_of(trt)
    versions.set_level(trt, config, level)
    assert set_to == (vars(config).get("builder_optimization_level"))
    assert flags == config.flags


def test_workspace_and_layer_descriptions(trt: Any) -> None:
    config = config_of(trt)
    versions.set_workspace(trt, config, 1 << 30)
    versions.describe_layers(trt, config)
    assert config.limits == {"WORKSPACE": 1 << 30}
    assert config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED


def test_tactic_sources(trt: Any) -> None:
    config = config_of(trt)
    versions.set_tactic_sources(trt, config, ())
    assert config.sources is None
    versions.set_tactic_sources(trt, config, ["EDGE_MASK_CONVOLUTIONS"])
    assert config.sources == 1 << int(trt.TacticSource.EDGE_MASK_CONVOLUTIONS)


def test_unknown_tactic_source_is_refused() -> None:
    trt = fake_trt("11.4.0.106")
    with pytest.raises(ModelError) as raised:
        versions.set_tactic_sources(trt, config_of(trt), ["CUBLAS"])
    assert str(raised.value) == (
        "TensorRT 11.4.0.106 knows no tactic source CUBLAS; it knows EDGE_MASK_CONVOLUTIONS, JIT_CONVOLUTIONS"
    )


@pytest.mark.parametrize(
    ("version", "preview"),
    [(ALL[0], {}), (ALL[1], {"PROFILE_SHARING_0806": True}), (ALL[2], {}), (ALL[3], {})],
)
def test_profile_sharing_is_asked_for_where_it_is_a_choice(version: str, preview: dict[str, bool]) -> None:
    trt = fake_trt(version)
    config = config_of(trt)
    versions.share_profiles(trt, config)
    assert preview == config.preview
    assert versions.shares_profiles(trt) == (version != ALL[0])


def test_progress_is_told_from_10_on(trt: Any) -> None:
    assert versions.has_progress(trt) == (trt.number >= (10,))


def test_contexts_have_no_memory_of_their_own() -> None:
    old = SimpleNamespace(create_execution_context_without_device_memory=lambda: "old")
    new = SimpleNamespace(create_execution_context=lambda strategy: strategy.name)
    assert versions.new_context(fake_trt("8.6.1"), old) == "old"
    assert versions.new_context(fake_trt("11.4.0.106"), new) == "USER_MANAGED"


def test_scratch_is_measured_and_given() -> None:
    assert versions.scratch_bytes(SimpleNamespace(device_memory_size=7)) == 7
    assert versions.scratch_bytes(SimpleNamespace(device_memory_size=7, device_memory_size_v2=8)) == 8
    given: list[tuple[int, int]] = []
    versions.give_scratch(
        SimpleNamespace(set_device_memory=lambda memory, size: given.append((memory, size))), 512, 8
    )
    old = SimpleNamespace(device_memory=None)
    versions.give_scratch(old, 512, 8)
    assert (given, old.device_memory) == ([(512, 8)], 512)
    with pytest.raises(GpuError, match="not aligned to 256 bytes"):
        versions.give_scratch(old, 100, 8)


def test_a_refused_profile_is_an_error() -> None:
    versions.select_profile(SimpleNamespace(set_optimization_profile_async=lambda index, stream: True), 0, 0)
    with pytest.raises(GpuError, match="refuses optimization profile 3"):
        versions.select_profile(
            SimpleNamespace(set_optimization_profile_async=lambda index, stream: False), 3, 0
        )


def test_parser_fault_names_the_node_where_the_version_does() -> None:
    plain: dict[str, Any] = {"node": lambda: 4, "desc": lambda: "No importer registered for op: Foo"}
    named = plain | {"node_name": lambda: "/a/Foo", "node_operator": lambda: "Foo"}
    assert versions.parser_fault(SimpleNamespace(**plain)) == (4, None, None, plain["desc"]())
    assert versions.parser_fault(SimpleNamespace(**named)) == (4, "/a/Foo", "Foo", plain["desc"]())
