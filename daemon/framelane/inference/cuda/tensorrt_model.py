"""TensorRT on a GPU as a model's backend: its engine, found or built, and who may use which of its contexts."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import numpy as np
import structlog

from framelane.core.errors import ModelError
from framelane.gpu.errors import DeviceLostError, GpuError
from framelane.gpu.stream import Stream
from framelane.gpu.trt.runtime import Engine
from framelane.inference.cuda.contexts import EngineShape, SlotContexts, engine_shape
from framelane.inference.cuda.plan import Plan
from framelane.inference.cuda.runner import CudaRunner, Task
from framelane.inference.engines.cache import DeviceFacts, ensure_engine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.config.schema import ModelConfig
    from framelane.inference.artifact import Artifact
    from framelane.inference.cuda.site import CudaSite
    from framelane.inference.letterbox import SizeWH
    from framelane.inference.postprocess import Postprocessor
    from framelane.inference.runner import Runner

log = structlog.get_logger(__name__)


def open_tensorrt(
    name: str, config: ModelConfig, artifact: Artifact, size_wh: SizeWH, site: CudaSite
) -> TensorRtBackend:
    """A model's engine on a GPU, built if the configuration allows that.

    Raises:
        ModelError: there is no engine and none can be built, or it does not fit the file.
    """
    plan = Plan.of(config, artifact)
    facts = DeviceFacts(site.device.name, site.device.capability)
    with site.device.current():
        file = ensure_engine(name, config, artifact, facts)
        engine = Engine.load(file.path)
    with site.device.current(), ExitStack() as guard:
        guard.callback(engine.close)
        outputs = [output.name for output in artifact.outputs]
        shape = engine_shape(engine.tensors, outputs, size_wh, plan.buckets)
        least, most = engine.batch_range(shape.image.name)
        if least > plan.buckets[0] or most < plan.most:
            raise ModelError(
                f"{file.path} takes batches of {least} to {most}, not {plan.buckets[0]} to {plan.most}; "
                "delete it to have it built again"
            )
        guard.pop_all()
    log.info(
        "engine_loaded", model=name, path=str(file.path), device=site.device.name,
        engine_bytes=engine.plan_bytes, scratch_bytes=engine.scratch_bytes, slots=plan.slots,
        buckets=list(plan.buckets), input=shape.image.dtype,
    )  # fmt: skip
    return TensorRtBackend(name, site, engine, shape, plan)


class TensorRtBackend:
    """See Backend.

    Attributes:
        name: the model's key.
        site: the GPU.
        engine: the engine.
        shape: how it is called.
        plan: slots and batch sizes.
    """

    def __init__(self, name: str, site: CudaSite, engine: Engine, shape: EngineShape, plan: Plan) -> None:
        self.name = name
        self.site = site
        self.engine = engine
        self.shape = shape
        self.plan = plan
        self._closed = False

    @property
    def best_batch(self) -> int:
        """The largest bucket."""
        return self.plan.most

    @property
    def best_slots(self) -> int:
        """As the configuration says, or two: one batch is prepared while another runs."""
        return self.plan.slots

    @property
    def best_waiting(self) -> int:
        """Two frames a stream: of a hundred threads some are late for a moment, and then bring two frames at once."""
        return 2

    def contexts(self, stream: Stream) -> SlotContexts:
        """Contexts for one slot, which runs them on this stream; the device must be current."""
        return SlotContexts(self.engine, self.shape, stream)

    def run(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Raw outputs, each [n, ...], of pictures [n, 3, h, w] in host memory: for recognising and verifying.

        It makes its contexts anew each time; frames go through `runner`.
        """
        with ExitStack() as held:
            held.enter_context(self.site.device.current())
            stream = Stream()
            held.callback(stream.close)
            contexts = held.enter_context(closing(self.contexts(stream)))
            starts = range(0, len(batch), self.plan.most)
            parts = [contexts.run(batch[start : start + self.plan.most], stream) for start in starts]
        return [np.concatenate(chunks) for chunks in zip(*parts, strict=True)]

    def runner(self, postprocess: Postprocessor, classes: int, batch: int) -> Runner:
        """A slot's runner."""
        return CudaRunner(self.site, self.contexts, Task(self.name, postprocess, classes, batch))

    def close(self) -> None:
        """Free the engine, once every runner has been closed; may be called twice."""
        if self._closed:  # the site may be closed by now, and would open the GPU again
            return
        self._closed = True
        with (
            suppress(GpuError, DeviceLostError),
            self.site.device.current(),
        ):  # a lost GPU has freed everything
            self.engine.close()
