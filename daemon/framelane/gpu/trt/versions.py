"""All differences between TensorRT 8.5, 8.6, 10 and 11 that Framelane meets.

Each function takes the module itself.

If a version lacks a name, the code checks for the name. If a name's meaning changes, it checks the version.
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

    # The tensorrt module, or a test's stand-in.
    Trt = Any
    # A TensorRT object, which has no types.
    Raw = Any

_SHARING, _IMPLICIT_GONE = (8, 6), (10,)
_ALIGNMENT = 256
# From this level on, the builder times all kernels.
_SLOW_LEVEL = 3


def load() -> ModuleType:
    """Return the tensorrt module. Raise ImportError if it is missing."""
    return import_module("tensorrt")


def version(trt: Trt) -> tuple[int, ...]:
    """Return the module's version: (8, 5, 3, 1)."""
    return tuple(int(part) for part in re.findall(r"\d+", trt.__version__)[:4])


# --- building -----------------------------------------------------------------------------------------------


def strongly_typed(trt: Trt, precision: str) -> bool:
    """Return whether a network of this precision is built with its file's types, without flags.

    TensorRT 10 offers both ways, 11 only this one. INT8 uses it only if there is no other, because it needs
    opset 19.
    """
    if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        return False
    return precision != "int8" or not hasattr(trt.BuilderFlag, "INT8")


def network_flags(trt: Trt, *, typed: bool) -> int:
    """Return flags for `create_network`: explicit batch if it is optional (before 10), and strong types."""
    flags = trt.NetworkDefinitionCreationFlag
    value = 0
    if version(trt) < _IMPLICIT_GONE:
        value |= 1 << int(flags.EXPLICIT_BATCH)
    if typed:
        value |= 1 << int(flags.STRONGLY_TYPED)
    return value


def set_precision(trt: Trt, config: Raw, precision: str, *, typed: bool, halves: bool) -> None:
    """Tell the builder which precisions it may use. A strongly typed network specifies them itself.

    Args:
        trt: the module.
        config: the builder's configuration.
        precision: fp32, fp16 or int8.
        typed: whether the network is strongly typed.
        halves: whether the file itself holds float16.
    """
    flags = trt.BuilderFlag
    if precision == "fp32" and hasattr(flags, "TF32"):
        # Otherwise "float32" convolutions keep only ten bits.
        config.clear_flag(flags.TF32)
    if typed:
        return
    if precision != "fp32" or halves:
        config.set_flag(flags.FP16)
    if precision == "int8":
        config.set_flag(flags.INT8)


def keep_float(trt: Trt, config: Raw, network: Raw, names: Collection[str]) -> int:
    """Keep layers in float32 although the builder may use halves: a weakly typed network drops its casts.

    Only arithmetic layers are set. The builder refuses a precision on layers that move data or work on
    shapes.

    Returns:
        The number of layers that were set.
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
    """Set the optimization level. Before 8.6, levels below 3 select kernels by heuristics instead."""
    if level is None:
        return
    if hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = level
    elif level < _SLOW_LEVEL and hasattr(trt.BuilderFlag, "ENABLE_TACTIC_HEURISTIC"):
        config.set_flag(trt.BuilderFlag.ENABLE_TACTIC_HEURISTIC)


def set_workspace(trt: Trt, config: Raw, size: int) -> None:
    """Limit the scratch memory of kernels."""
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)


def set_tactic_sources(trt: Trt, config: Raw, names: Collection[str]) -> None:
    """Use kernels only from these sources, by TensorRT's names; none means its default.

    Raises:
        ModelError: this version does not know a name.
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
    """Let contexts share a profile: a preview feature of 8.6, and always so from 10 on."""
    if _SHARING <= version(trt) < _IMPLICIT_GONE and hasattr(trt.PreviewFeature, "PROFILE_SHARING_0806"):
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)  # noqa: FBT003 - positional there


def describe_layers(trt: Trt, config: Raw) -> None:
    """Keep each layer's type and precision in the engine, for the inspector."""
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED


def has_progress(trt: Trt) -> bool:
    """Return whether the builder reports its progress (10 and newer)."""
    return hasattr(trt, "IProgressMonitor")


def parser_fault(error: Raw) -> tuple[int, str | None, str | None, str]:
    """Return a parser error's node index, node name and operator (None if not known here), and text."""
    name = error.node_name() if hasattr(error, "node_name") else None
    operator = error.node_operator() if hasattr(error, "node_operator") else None
    return int(error.node()), name or None, operator or None, str(error.desc())


# --- running ------------------------------------------------------------------------------------------------


def shares_profiles(trt: Trt) -> bool:
    """Return whether contexts may share a profile. Before 8.6, each needs its own profile or engine."""
    return version(trt) >= _SHARING


def new_context(trt: Trt, engine: Raw) -> Raw:
    """Return an execution context without memory of its own; None if TensorRT can't create it."""
    strategies = getattr(trt, "ExecutionContextAllocationStrategy", None)
    if strategies is None:
        return engine.create_execution_context_without_device_memory()
    return engine.create_execution_context(strategies.USER_MANAGED)


def scratch_bytes(engine: Raw) -> int:
    """Return the working memory of a context of this engine, for its largest shapes."""
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
    """Select a context's optimization profile; enqueued on a stream.

    Raises:
        GpuError: TensorRT refuses it.
    """
    if not context.set_optimization_profile_async(index, stream):
        raise GpuError(f"TensorRT refuses optimization profile {index}; another context may hold it")
