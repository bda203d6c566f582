"""All differences between TensorRT 8.5, 8.6, 10 and 11 that Framelane meets; each function takes the module itself.

Where a version lacks a name, the name is asked for; where names stay and meaning changes, the version is.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from framelane.core.errors import ModelError
from framelane.gpu.errors import GpuError

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType

    Trt = Any  # the tensorrt module, or a test's stand-in
    Raw = Any  # an object of TensorRT's, which has no types

_SHARING, _IMPLICIT_GONE = (8, 6), (10,)
_ALIGNMENT = 256
_SLOW_LEVEL = 3  # from here on the builder times all kernels


def load() -> ModuleType:
    """The tensorrt module; raises ImportError where there is none."""
    return import_module("tensorrt")


def version(trt: Trt) -> tuple[int, ...]:
    """Version of the module: (8, 5, 3, 1)."""
    return tuple(int(part) for part in re.findall(r"\d+", trt.__version__)[:4])


# --- building ---------------------------------------------------------------------------------------------------------


def strongly_typed(trt: Trt, precision: str) -> bool:
    """Whether a network of this precision is built with the types of its file and no flags.

    TensorRT 10 offers both ways, 11 this one alone. INT8 takes it only where there is no other: it needs opset 19.
    """
    if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        return False
    return precision != "int8" or not hasattr(trt.BuilderFlag, "INT8")


def network_flags(trt: Trt, *, typed: bool) -> int:
    """Flags for `create_network`: explicit batch where it isn't the only way (before 10), and strong types."""
    flags = trt.NetworkDefinitionCreationFlag
    value = 0
    if version(trt) < _IMPLICIT_GONE:
        value |= 1 << int(flags.EXPLICIT_BATCH)
    if typed:
        value |= 1 << int(flags.STRONGLY_TYPED)
    return value


def set_precision(trt: Trt, config: Raw, precision: str, *, typed: bool, halves: bool) -> None:
    """Tell the builder which precisions it may use; a strongly typed network says so itself.

    Args:
        trt: the module.
        config: the builder's configuration.
        precision: fp32, fp16 or int8.
        typed: whether the network is strongly typed.
        halves: whether the file itself holds float16.
    """
    flags = trt.BuilderFlag
    if precision == "fp32" and hasattr(flags, "TF32"):
        config.clear_flag(flags.TF32)  # else "float32" convolutions keep ten bits
    if typed:
        return
    if precision != "fp32" or halves:
        config.set_flag(flags.FP16)
    if precision == "int8":
        config.set_flag(flags.INT8)


def keep_float(trt: Trt, config: Raw, network: Raw, names: Collection[str]) -> int:
    """Keep layers in float32 though the builder may use halves: a weakly typed network forgets its casts.

    Only arithmetic is told: the builder refuses a precision on layers that move data or work on shapes.

    Returns:
        How many layers that are.
    """
    kinds = {trt.LayerType.ELEMENTWISE, trt.LayerType.UNARY, trt.LayerType.ACTIVATION}
    told = 0
    for index in range(network.num_layers if names else 0):
        layer = network.get_layer(index)
        if layer.name not in names or layer.type not in kinds or layer.get_output(0).dtype != trt.float32:
            continue
        layer.precision = trt.float32
        layer.set_output_type(0, trt.float32)
        told += 1
    if told:
        config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
    return told


def set_level(trt: Trt, config: Raw, level: int | None) -> None:
    """Set the optimisation level. Before 8.6 there is none: levels below 3 become heuristics for choosing kernels."""
    if level is None:
        return
    if hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = level
    elif level < _SLOW_LEVEL and hasattr(trt.BuilderFlag, "ENABLE_TACTIC_HEURISTIC"):
        config.set_flag(trt.BuilderFlag.ENABLE_TACTIC_HEURISTIC)


def set_workspace(trt: Trt, config: Raw, size: int) -> None:
    """Limit the memory that kernels may use as scratch."""
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)


def set_tactic_sources(trt: Trt, config: Raw, names: Collection[str]) -> None:
    """Take kernels from these sources alone, by TensorRT's names; all that are its default for no names.

    Raises:
        ModelError: this version doesn't know a name.
    """
    if not names:
        return
    known = trt.TacticSource.__members__
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known))
            raise ModelError(f"TensorRT {trt.__version__} knows no tactic source {name}; it knows {listed}")
    mask = 0
    for name in names:
        mask |= 1 << int(known[name])
    config.set_tactic_sources(mask)


def share_profiles(trt: Trt, config: Raw) -> None:
    """Let contexts share a profile: a preview feature of 8.6, and the only way from 10 on."""
    if _SHARING <= version(trt) < _IMPLICIT_GONE and hasattr(trt.PreviewFeature, "PROFILE_SHARING_0806"):
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)  # noqa: FBT003 - positional there


def describe_layers(trt: Trt, config: Raw) -> None:
    """Keep each layer's type and precision in the engine, for the inspector."""
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED


def has_progress(trt: Trt) -> bool:
    """Whether the builder tells its progress (10 and newer)."""
    return hasattr(trt, "IProgressMonitor")


def parser_fault(error: Raw) -> tuple[int, str | None, str | None, str]:
    """A parser's error: index of the node in the file, its name and operator where this version tells, and the text."""
    name = error.node_name() if hasattr(error, "node_name") else None
    operator = error.node_operator() if hasattr(error, "node_operator") else None
    return int(error.node()), name or None, operator or None, str(error.desc())


# --- running ----------------------------------------------------------------------------------------------------------


def shares_profiles(trt: Trt) -> bool:
    """Whether contexts may use one profile together; before 8.6 each needs a profile, or an engine, of its own."""
    return version(trt) >= _SHARING


def new_context(trt: Trt, engine: Raw) -> Raw:
    """An execution context that has no memory of its own yet; None where TensorRT can't make it."""
    strategies = getattr(trt, "ExecutionContextAllocationStrategy", None)
    if strategies is None:
        return engine.create_execution_context_without_device_memory()
    return engine.create_execution_context(strategies.USER_MANAGED)


def scratch_bytes(engine: Raw) -> int:
    """The memory that a context of this engine works in, for its largest shapes."""
    if hasattr(engine, "device_memory_size_v2"):
        return int(engine.device_memory_size_v2)
    return int(engine.device_memory_size)


def give_scratch(context: Raw, address: int, size: int) -> None:
    """Give a context its memory, aligned to 256 bytes.

    Raises:
        GpuError: the address is not aligned.
    """
    if address % _ALIGNMENT:
        raise GpuError(f"scratch memory at {address:#x} is not aligned to {_ALIGNMENT} bytes")
    if hasattr(context, "set_device_memory"):
        context.set_device_memory(address, size)
    else:
        context.device_memory = address


def select_profile(context: Raw, index: int, stream: int) -> None:
    """Choose a context's optimisation profile; enqueued on a stream.

    Raises:
        GpuError: TensorRT refuses it.
    """
    if not context.set_optimization_profile_async(index, stream):
        raise GpuError(f"TensorRT refuses optimisation profile {index}; another context may hold it")
