"""Builds a TensorRT engine from an ONNX model, on the current GPU."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from framelane.core.errors import ModelError
from framelane.gpu.trt import versions
from framelane.gpu.trt.load import says_memory_full
from framelane.gpu.trt.log import ERRORS, journal, logger
from framelane.gpu.trt.progress import watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.gpu.trt.progress import Tell

__all__ = ["BuildRequest", "Built", "build", "logger"]

log = structlog.get_logger(__name__)

_NO_KERNEL = re.compile(r"Could not find any implementation for node (.+?)(?: due to (.+?))?(?:\.|$)")
_REFUSED_CACHE = re.compile(r"timing cache will not be used", re.IGNORECASE)
_GIB = 1 << 30

Shape = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build.

    Attributes:
        name: the model's name in messages: its file.
        model: the ONNX model, serialized, with its weights.
        nodes: name and operator of each of its nodes, in the file's order.
        image: name of its input for images.
        shapes: least, best and largest shape of that input.
        precision: fp32, fp16 or int8.
        halves: whether the model itself holds float16.
        exact: names of nodes that stay in float32 at any precision.
        workspace: most bytes of scratch memory for a kernel.
        level: the builder's optimization level; None for its default.
        tactic_sources: where kernels may come from, by TensorRT's names; empty for its default.
        timing: a timing cache; may be empty.
        sizes: name of its input for the images' sizes [n, 2]; None if there is none.
    """

    name: str
    model: bytes
    nodes: Sequence[tuple[str, str]]
    image: str
    shapes: tuple[Shape, Shape, Shape]
    precision: str
    halves: bool
    exact: frozenset[str]
    workspace: int
    level: int | None = None
    tactic_sources: tuple[str, ...] = ()
    timing: bytes = b""
    sizes: str | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """A newly built engine.

    Attributes:
        plan: the serialized engine.
        timing: the timing cache, with the timings of this build.
        seconds: how long the build took.
    """

    plan: bytes
    timing: bytes
    seconds: float


@dataclass
class _BuildMessages:
    """Collects the builder's messages, to explain a failed build."""

    errors: deque[str] = field(default_factory=lambda: deque(maxlen=32))
    cache_refused: bool = False

    def __call__(self, severity: str, text: str) -> None:
        if severity in ERRORS:
            self.errors.append(text)
        if _REFUSED_CACHE.search(text):
            self.cache_refused = True


def build(trt: Any, request: BuildRequest, tell: Tell = lambda _what, _done, _all: None) -> Built:  # noqa: ANN401
    """Build an engine; a device must be current. Takes minutes.

    Args:
        trt: the tensorrt module.
        request: what to build.
        tell: takes the progress, on TensorRT's threads.

    Raises:
        ModelError: the model can't be parsed or built; the message names the node, or the limit to change.
    """
    began_s = time.monotonic()
    messages = _BuildMessages()
    typed = versions.strongly_typed(trt, request.precision)
    with journal.listening(messages):
        builder = _made(trt, lambda: trt.Builder(logger(trt)))
        network = builder.create_network(versions.network_flags(trt, typed=typed))
        # It must outlive the build, because it owns the weights.
        parser = trt.OnnxParser(network, logger(trt))
        if not parser.parse(request.model):
            raise ModelError(_parse_message(trt, parser, request))
        config = _config(trt, builder, network, request, typed=typed)
        cache = _take_timing(config, request)
        with journal.listening(watch(trt, config, tell)):
            plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ModelError(_failure(messages.errors, request))
    if messages.cache_refused:
        log.warning("engine_timing_cache_refused", model=request.name, effect="kernels were timed again")
    return Built(bytes(plan), bytes(cache.serialize()), time.monotonic() - began_s)


def _made(trt: Any, make: Any) -> Any:  # noqa: ANN401
    try:
        return make()
    except TypeError as error:
        # The Python binding raises this if the C++ side returned nothing.
        raise ModelError(f"TensorRT {trt.__version__} can't use this GPU; its log says why") from error


def _config(trt: Any, builder: Any, network: Any, request: BuildRequest, *, typed: bool) -> Any:  # noqa: ANN401
    config = builder.create_builder_config()
    versions.set_workspace(trt, config, request.workspace)
    versions.set_level(trt, config, request.level)
    versions.set_tactic_sources(trt, config, request.tactic_sources)
    versions.set_precision(trt, config, request.precision, typed=typed, halves=request.halves)
    if not typed:
        versions.keep_float(trt, config, network, request.exact)
    versions.share_profiles(trt, config)
    versions.describe_layers(trt, config)
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    open_ = {each.name for each in inputs if -1 in tuple(each.shape)}
    if open_:
        profile = builder.create_optimization_profile()
        if request.image in open_:
            profile.set_shape(request.image, *request.shapes)
        if request.sizes in open_:
            profile.set_shape(request.sizes, *((shape[0], 2) for shape in request.shapes))
        if config.add_optimization_profile(profile) < 0:
            listed = ", ".join("x".join(str(dim) for dim in shape) for shape in request.shapes)
            raise ModelError(
                f"{request.name}: TensorRT refuses the shapes {listed} for the input {request.image}"
            )
    return config


def _take_timing(config: Any, request: BuildRequest) -> Any:  # noqa: ANN401
    """Attach the given timing cache, from any source, or an empty one."""
    cache = config.create_timing_cache(request.timing)
    if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
        return cache
    if cache is not None and config.set_timing_cache(cache, ignore_mismatch=True):
        log.warning(
            "engine_timing_cache_foreign",
            model=request.name,
            effect="made on another GPU or with another TensorRT",
        )
        return cache
    log.warning("engine_timing_cache_unreadable", model=request.name, effect="kernels are timed again")
    cache = config.create_timing_cache(b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _parse_message(trt: Any, parser: Any, request: BuildRequest) -> str:  # noqa: ANN401
    faults = [versions.parser_fault(parser.get_error(index)) for index in range(parser.num_errors)]
    said = []
    for index, named, operates, text in faults:
        name, operator = request.nodes[index] if 0 <= index < len(request.nodes) else ("?", "?")
        said.append(f"node `{named or name}`, operator {operates or operator}: {' '.join(text.split())}")
    listed = "; ".join(said) or "it says no more"
    return (
        f"{request.name} can't be parsed by TensorRT {trt.__version__}: {listed}. Export it again with plain ONNX "
        "operators (opset 17), or run it with `backend: onnxruntime`"
    )


def _failure(errors: Sequence[str], request: BuildRequest) -> str:
    """Return why the build failed, and what to change."""
    workspace = f"{request.workspace / _GIB:.3g} GiB"
    # The last messages matter most: on its way, the builder skips many kernels that don't fit.
    for text in reversed(errors):
        missing = _NO_KERNEL.search(text)
        if missing and "workspace" in (missing[2] or ""):
            return (
                f"{request.name}: no kernel for {missing[1]} works within the workspace of {workspace}; raise "
                "`engine.workspace` (--workspace)"
            )
        if missing:
            only = (
                f"; only {', '.join(request.tactic_sources)} were allowed" if request.tactic_sources else ""
            )
            return f"{request.name}: TensorRT has no kernel for {missing[1]} on this GPU{only}"
        if says_memory_full([text]):
            return (
                f"{request.name}: the GPU's memory ran out while the engine was built; lower `engine.workspace` "
                f"(--workspace, now {workspace}) or `batch` (--batch, now {request.shapes[2][0]}), or free memory on it"
            )
    last = " ".join(errors[-1].split()) if errors else "its log says no more"
    return f"{request.name}: TensorRT could not build an engine: {last}"
