"""TensorRT on a GPU as a model's backend: finds or builds the engine, and makes runners for slots."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import numpy as np
import structlog

from framelane.core.errors import ModelError
from framelane.gpu.errors import DeviceLostError, GpuError
from framelane.gpu.stream import Stream
from framelane.gpu.trt.runtime import Engine
from framelane.inference.backends.cuda.contexts import EngineShape, SlotContexts, engine_shape
from framelane.inference.backends.cuda.frame_copier import FrameCopies
from framelane.inference.backends.cuda.runner import CudaRunner, Task
from framelane.models.engines.cache import DeviceFacts, ensure_engine
from framelane.models.engines.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.config.sections.model import ModelConfig
    from framelane.inference.backends.cuda.shared_gpu import SharedGpu
    from framelane.inference.backends.runner import Runner
    from framelane.models.artifact import Artifact
    from framelane.models.input.letterbox import SizeWH
    from framelane.models.postprocess import Postprocessor

log = structlog.get_logger(__name__)

_FETCH_S = 5.0
"""Seconds within which the last parts of frames must have been fetched when the model is closed."""


def open_tensorrt(
    name: str, config: ModelConfig, artifact: Artifact, size_wh: SizeWH, gpu: SharedGpu
) -> TensorRtBackend:
    """Open a model's engine on a GPU; build it first if there is none and the configuration allows it.

    Raises:
        ModelError: there is no engine and none can be built, or the engine does not fit the model file.
    """
    plan = Plan.of(config, artifact)
    facts = DeviceFacts(gpu.device.name, gpu.device.capability)
    with gpu.device.current():
        file = ensure_engine(name, config, artifact, facts)
        engine = Engine.load(file.path)
    with gpu.device.current(), ExitStack() as guard:
        guard.callback(engine.close)
        outputs = [output.name for output in artifact.outputs]
        shape = engine_shape(engine.tensors, outputs, size_wh, plan.buckets)
        least, most = engine.batch_range(shape.image.name)
        if least > plan.buckets[0] or most < plan.most:
            raise ModelError(
                f"{file.path} takes batches of {least} to {most}, not {plan.buckets[0]} to {plan.most}; "
                "delete it, and it is built again"
            )
        guard.pop_all()
    log.info(
        "engine_loaded", model=name, path=str(file.path), device=gpu.device.name,
        engine_bytes=engine.plan_bytes, scratch_bytes=engine.scratch_bytes, slots=plan.slots,
        buckets=list(plan.buckets), input=shape.image.dtype,
    )  # fmt: skip
    return TensorRtBackend(name, gpu, engine, shape, plan)


class TensorRtBackend:
    """A TensorRT engine on a GPU; see Backend.

    Attributes:
        name: the model's key.
        gpu: the GPU.
        engine: the engine.
        shape: how the engine is called.
        plan: slots and batch sizes.
    """

    def __init__(self, name: str, gpu: SharedGpu, engine: Engine, shape: EngineShape, plan: Plan) -> None:
        self.name = name
        self.gpu = gpu
        self.engine = engine
        self.shape = shape
        self.plan = plan
        self._copies = FrameCopies(name, gpu)
        self._closed = False

    @property
    def best_batch(self) -> int:
        """The largest bucket."""
        return self.plan.most

    @property
    def best_slots(self) -> int:
        """The configured number, or two: one batch is prepared while another runs."""
        return self.plan.slots

    @property
    def best_waiting(self) -> int:
        """Two frames per stream: of a hundred threads some are briefly late, then deliver two frames at once."""
        return 2

    def contexts(self, stream: Stream) -> SlotContexts:
        """Return the contexts of one slot, which run on this CUDA stream; the device must be current."""
        return SlotContexts(self.engine, self.shape, stream)

    def run(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Return raw outputs, each [n, ...], for images [n, 3, h, w] in host memory.

        For recognizing heads and verifying engines. Creates its contexts on every call; frames go through `runner`.
        """
        with ExitStack() as held:
            held.enter_context(self.gpu.device.current())
            stream = Stream()
            held.callback(stream.close)
            contexts = held.enter_context(closing(self.contexts(stream)))
            starts = range(0, len(batch), self.plan.most)
            parts = [contexts.run(batch[start : start + self.plan.most], stream) for start in starts]
        return [np.concatenate(chunks) for chunks in zip(*parts, strict=True)]

    def runner(self, postprocess: Postprocessor, classes: int, batch: int) -> Runner:
        """See Backend."""
        return CudaRunner(self.gpu, self.contexts, Task(self.name, postprocess, classes, batch), self._copies)

    def close(self) -> None:
        """Free the engine, once every runner has been closed; may be called twice."""
        # On a second call the GPU may be closed already, and using it would open it again.
        if self._closed:
            return
        self._closed = True
        # A lost GPU has freed everything.
        with suppress(GpuError, DeviceLostError), self.gpu.device.current():
            self._copies.close(_FETCH_S)
            self.engine.close()
