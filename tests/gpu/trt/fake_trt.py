"""Stand-ins for TensorRT 8.5, 8.6, 10 and 11 with the names and signatures of their bindings.

Taken from the wheels: tensorrt 8.5.3.1 (imported), tensorrt-bindings 8.6.1, tensorrt-cu12-bindings 10.9.0.34 and
tensorrt-cu13-bindings 11.4.0.106 (names in the extension modules). What a version lacks, its stand-in lacks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from types import SimpleNamespace
from typing import Any

import onnx

TYPES = {1: "FLOAT", 10: "HALF", 2: "UINT8", 7: "INT64", 6: "INT32"}
LAYERS_JSON = json.dumps(
    {
        "Layers": [
            {
                "Name": "Conv_0",
                "LayerType": "CaskConvolution",
                "Inputs": [{"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
                "Outputs": [{"Format/Datatype": "Channel major FP16 format"}],
            },
            {
                "Name": "Mul_1",
                "LayerType": "PointWise",
                "Inputs": [{"Format/Datatype": "Row major linear FP32"}],
                "Outputs": [{"Format/Datatype": "Row major linear FP32"}],
            },
            "Reshape_2",
        ]
    }
)


def fake_trt(version: str, *, plan: bytes | None = b"plan", **behaviour: Any) -> Any:
    """A module of that version; `calls` on it lists what was asked of it, in order."""
    number = tuple(int(part) for part in version.split("."))
    calls: list[tuple[Any, ...]] = []
    flags = ["FP16", "INT8", "TF32", "PREFER_PRECISION_CONSTRAINTS", "OBEY_PRECISION_CONSTRAINTS"]
    if number < (10,):
        flags.append("ENABLE_TACTIC_HEURISTIC")
    if number >= (11,):
        flags = ["TF32"]
    creation = {
        8: ["EXPLICIT_BATCH", "EXPLICIT_PRECISION"],
        10: ["EXPLICIT_BATCH", "STRONGLY_TYPED"],
        11: ["STRONGLY_TYPED", "PREFER_AOT_PYTHON_PLUGINS"],
    }[number[0]]
    preview = [] if number < (8, 6) or number >= (11,) else ["PROFILE_SHARING_0806"]
    sources = ["CUBLAS", "CUBLAS_LT", "CUDNN", "EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"]
    if number >= (11,):
        sources = sources[3:]
    types = ["FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8"] + (["INT64"] if number >= (10,) else [])
    dtypes = Enum("DataType", types)  # type: ignore[misc]
    trt = SimpleNamespace(
        __version__=version,
        calls=calls,
        number=number,
        plan=plan,
        behaviour=behaviour,
        BuilderFlag=_names("BuilderFlag", flags),
        NetworkDefinitionCreationFlag=_names("NetworkDefinitionCreationFlag", creation),
        PreviewFeature=_names("PreviewFeature", preview),
        TacticSource=_names("TacticSource", sources),
        LayerType=_names("LayerType", ["CONVOLUTION", "ELEMENTWISE", "UNARY", "ACTIVATION", "SHUFFLE"]),
        MemoryPoolType=_names("MemoryPoolType", ["WORKSPACE"]),
        ProfilingVerbosity=_names("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "NONE", "DETAILED"]),
        TensorIOMode=_names("TensorIOMode", ["NONE", "INPUT", "OUTPUT"]),
        LayerInformationFormat=_names("LayerInformationFormat", ["ONELINE", "JSON"]),
        DataType=dtypes,
        float32=dtypes["FLOAT"],
        ILogger=type("ILogger", (), {}),
    )
    trt.Builder = lambda logger: Builder(trt, logger)
    trt.OnnxParser = lambda network, logger: OnnxParser(trt, network, logger)
    trt.Runtime = lambda logger: Runtime(trt)
    if number >= (10,):
        trt.IProgressMonitor = type("IProgressMonitor", (), {})
        trt.ExecutionContextAllocationStrategy = _names(
            "Strategy", ["STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED"]
        )
    trt.hash = id(trt)
    return _Module(trt)


class _Module:
    """Hashable, as a module is."""

    def __init__(self, names: SimpleNamespace) -> None:
        self.__dict__ = names.__dict__


def _names(name: str, members: list[str]) -> Any:
    return IntEnum(name, {member: index for index, member in enumerate(members)})


@dataclass
class Tensor:
    name: str
    dtype: Any
    shape: tuple[int, ...]


@dataclass
class Layer:
    name: str
    type: Any
    output: Tensor
    precision: Any = None
    output_types: dict[int, Any] = field(default_factory=dict)

    def get_output(self, index: int) -> Tensor:
        return self.output

    def set_output_type(self, index: int, dtype: Any) -> None:
        self.output_types[index] = dtype


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.layers: list[Layer] = []

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]


class OnnxParser:
    def __init__(self, trt: Any, network: Network, logger: Any) -> None:
        self._trt, self._network = trt, network
        self._errors = list(trt.behaviour.get("parse_errors", []))

    def parse(self, model: bytes, path: str | None = None) -> bool:
        graph = onnx.load_from_string(model).graph
        for values, into in ((graph.input, self._network.inputs), (graph.output, self._network.outputs)):
            into.extend(self._tensor(value) for value in values)
        kinds = {"Mul": "ELEMENTWISE", "Add": "ELEMENTWISE", "Sub": "ELEMENTWISE", "Div": "ELEMENTWISE"}
        for node in graph.node:
            kind = self._trt.LayerType[kinds.get(node.op_type, "SHUFFLE")]
            self._network.layers.append(Layer(node.name, kind, Tensor(node.output[0], self._trt.float32, ())))
        self._trt.parsed = model
        return not self._errors

    def _tensor(self, value: onnx.ValueInfoProto) -> Tensor:
        tensor = value.type.tensor_type
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
        return Tensor(value.name, self._trt.DataType[TYPES[tensor.elem_type]], shape)

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        node, text, name, operator = self._errors[index]
        error = SimpleNamespace(node=lambda: node, desc=lambda: text, code=lambda: 8)
        if self._trt.number >= (10,):
            error.node_name, error.node_operator = lambda: name, lambda: operator
        return error


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Any, Any, Any]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:  # noqa: A002 - the real names
        self.shapes[input] = (min, opt, max)


class Builder:
    def __init__(self, trt: Any, logger: Any) -> None:
        if trt.behaviour.get("no_gpu"):
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._trt, self._logger = trt, logger

    def create_network(self, flags: int = 0) -> Network:
        self._trt.calls.append(("create_network", flags))
        return Network(flags)

    def create_builder_config(self) -> Any:
        self.config = (ConfigWithLevel if self._trt.number >= (8, 6) else Config)(self._trt)
        self._trt.config = self.config
        return self.config

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Any) -> bytes | None:
        self._trt.network = network
        self._trt.calls.append(("build",))
        for severity, text in self._trt.behaviour.get("says", []):
            self._logger.log(SimpleNamespace(name=severity), text)
        monitor = getattr(config, "progress_monitor", None)
        if monitor is not None:
            monitor.phase_start("Building Engine", None, 2)
            monitor.phase_start("Tactics", "Building Engine", 9)
            assert monitor.step_complete("Tactics", 0)
            assert monitor.step_complete("Building Engine", 0)
            monitor.phase_finish("Tactics")
            monitor.phase_finish("Building Engine")
        plan: bytes | None = self._trt.plan
        return plan


class Cache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content + b"+"


class Config:
    def __init__(self, trt: Any) -> None:
        self._trt = trt
        self.flags: set[str] = set()
        self.cleared: set[str] = set()
        self.limits: dict[Any, int] = {}
        self.preview: dict[str, bool] = {}
        self.sources: int | None = None
        self.profiles: list[Profile] = []
        self.profiling_verbosity = trt.ProfilingVerbosity.LAYER_NAMES_ONLY

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self.cleared.add(flag.name)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.limits[pool.name] = pool_size

    def set_preview_feature(self, feature: Any, enable: bool) -> None:  # noqa: FBT001 - the real signature
        self.preview[feature.name] = enable

    def set_tactic_sources(self, tactic_sources: int) -> bool:
        self.sources = tactic_sources
        return True

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Cache | None:
        return None if serialized_timing_cache == b"garbage" else Cache(serialized_timing_cache)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:  # noqa: FBT001 - the real signature
        self.cache = cache
        return ignore_mismatch or cache.content != b"foreign"

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class ConfigWithLevel(Config):
    builder_optimization_level = 3


class Runtime:
    def __init__(self, trt: Any) -> None:
        self._trt = trt

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        network = self._trt.network
        tensors = {each.name: each for each in (*network.inputs, *network.outputs)}
        inputs = {each.name for each in network.inputs}
        mode = self._trt.TensorIOMode
        return SimpleNamespace(
            num_io_tensors=len(tensors),
            get_tensor_name=lambda index: list(tensors)[index],
            get_tensor_dtype=lambda name: tensors[name].dtype,
            get_tensor_shape=lambda name: tensors[name].shape,
            get_tensor_mode=lambda name: mode.INPUT if name in inputs else mode.OUTPUT,
            create_engine_inspector=lambda: SimpleNamespace(
                get_engine_information=lambda _format: LAYERS_JSON
            ),
        )
