"""Compares a TensorRT engine as the product runs it with a bare loop of CUDA graphs, the ceiling."""

from __future__ import annotations

import operator
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import av
import numpy as np

from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.model import ModelConfig
from framelane.gpu.availability import why_absent
from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.inference.model import load_model
from framelane.measure.errors import BenchError
from framelane.measure.figures import Percentiles
from framelane.measure.host import Host, describe_host
from framelane.measure.report import LATENCY_COLUMNS, Goal, Section, goals_section, latency_cells, number
from framelane.models.engines.plan import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.gpu.graph import Graph
    from framelane.gpu.stream import Event, Stream
    from framelane.inference.backends.cuda.backend import TensorRtBackend
    from framelane.inference.backends.cuda.runner import CudaRunner
    from framelane.inference.model import Model

BARE, GRAPH, WHOLE = "bare loop", "product, graph", "product, with preprocessing"
LEAST_SHARE = 0.98
PICTURE_WH = 1920, 1080
_WARM_UP = 20
# Bytes per row of NVDEC's 1080p surfaces.
_PITCH = 2048


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """Figures for one way to run the engine.

    Attributes:
        way: `bare loop`: the engine's graph alone. `product, graph`: a slot's graph, with box decoding,
            suppression and results in host memory. `product, with preprocessing`: from 1080p NV12 surfaces
            on.
        batch: images per batch.
        slots: batches in flight.
        images_s: images per second, all slots together.
        cpu_ms_an_image: CPU time of the process per image.
        latency_ms: of one batch.
    """

    way: str
    batch: int
    slots: int
    images_s: float
    cpu_ms_an_image: float
    latency_ms: Percentiles | None


@dataclass(frozen=True, slots=True)
class GpuEngineBench:
    """Figures for an engine in all ways and batch sizes.

    Attributes:
        memory_mb: GPU memory of the model with all its slots: the difference before and after, of all
            processes.
        seconds: how long each way was measured.
    """

    host: Host
    device: str
    model: str
    hash: str
    precision: str
    input: str
    engine_mb: float
    scratch_mb: float
    memory_mb: float
    seconds: float
    variants: tuple[GpuFigures, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return asdict(self) | {"goals": [asdict(goal) for goal in self.goals()]}

    def goals(self) -> tuple[Goal, ...]:
        """Return the product's graph against the bare loop, for each batch size."""
        return tuple(
            Goal.at_least(f"batch {batch}: product's graph / bare loop", LEAST_SHARE, self._share(batch))
            for batch in dict.fromkeys(each.batch for each in self.variants)
        )

    def sections(self) -> tuple[Section, ...]:
        """Return a table with a row for each way and batch size."""
        title = (
            f"{self.model} ({self.hash}), {self.precision}, input {self.input}, on {self.device}: engine "
            f"{self.engine_mb:.0f} MB, scratch {self.scratch_mb:.0f} MB per slot, in use {self.memory_mb:.0f} MB\n"
            f"{self.host}"
        )
        columns = ("way", "batch", "slots", "images/s", "CPU ms/image", *LATENCY_COLUMNS)
        return (
            Section(title, columns, tuple(_row(each) for each in self.variants)),
            goals_section(self.goals()),
        )

    def _share(self, batch: int) -> float:
        rates = {each.way: each.images_s for each in self.variants if each.batch == batch}
        return rates[GRAPH] / rates[BARE]


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """How to run the model.

    Attributes:
        precision: of the engine.
        slots: batches in flight.
        engine_folder: the engines folder.
        calibration: images for an INT8 engine.
        min_batch: smallest batch of the engine's profile, as `engine.min_batch`.
    """

    precision: Literal["fp32", "fp16", "int8"] = "fp16"
    slots: int = 2
    engine_folder: Path = Path("engines")
    calibration: Path | None = None
    min_batch: int = 1

    def config(self, model: Path, most: int) -> ModelConfig:
        """Return the model's section.

        The largest batch is `most`, but at least the default, whose engine exists.
        """
        return ModelConfig(
            path=str(model),
            backend="tensorrt",
            precision=self.precision,
            slots=self.slots,
            batch=0 if most <= BATCH else most,
            engine=EngineConfig(
                folder=str(self.engine_folder),
                min_batch=self.min_batch,
                calibration=None if self.calibration is None else str(self.calibration),
            ),
        )


def bench_gpu_engine(
    path: Path, options: GpuOptions, batches: Sequence[int], seconds: float = 5.0
) -> GpuEngineBench:
    """Measure a model on GPU 0.

    Args:
        path: an ONNX file; its engine is built if there is none.
        options: how to run it.
        batches: batch sizes to measure.
        seconds: how long to measure each way.

    Raises:
        BenchError: a batch is larger than the file allows.
        ModelError: the model can't run on a GPU.
    """
    reason = why_absent()
    if reason is not None:
        raise BenchError(f"nothing to measure: {reason}")
    config = options.config(path, max(batches))
    gpu = SharedGpu()
    with closing(gpu), ExitStack() as held:
        before = gpu.device.memory_used()
        model = load_model("bench", config, gpu)
        held.callback(model.close)
        backend = cast("TensorRtBackend", model.backend)
        if max(batches) > backend.plan.most:
            raise BenchError(f"batch {max(batches)} is larger than the engine's {backend.plan.most}")
        most_used = before
        variants: list[GpuFigures] = []
        for batch in batches:
            early = _bare(backend, batch, seconds / 2)
            product, used = _product(model, batch, seconds)
            late = _bare(backend, batch, seconds / 2)
            most_used = max(most_used, used)
            # Half before and half after, so that a GPU that warms up affects both alike.
            bare = _rate(BARE, batch, backend.plan.slots, *map(operator.add, early, late))
            variants += [bare, *product]
        spec = model.input
        return GpuEngineBench(
            host=describe_host(),
            device=gpu.device.name,
            model=config.path,
            hash=model.info.hash,
            precision=config.precision,
            input=f"{spec.size_wh[0]}x{spec.size_wh[1]} {backend.shape.image.dtype}",
            engine_mb=backend.engine.plan_bytes / 1e6,
            scratch_mb=backend.engine.scratch_bytes / 1e6,
            memory_mb=(most_used - before) / 1e6,
            seconds=seconds,
            variants=tuple(variants),
        )


def _row(each: GpuFigures) -> tuple[str, ...]:
    return (
        each.way,
        str(each.batch),
        str(each.slots),
        number(each.images_s),
        number(each.cpu_ms_an_image, 3),
        *latency_cells(each.latency_ms),
    )


@dataclass(frozen=True, slots=True)
class _BareSlot:
    """One stream with the engine's graph, and nothing else."""

    stream: Stream
    graph: Graph
    done: Event

    def start(self) -> float:
        """Launch the graph and return the time of the launch."""
        began_s = time.perf_counter()
        self.graph.launch(self.stream)
        self.done.record(self.stream)
        return began_s


class _Loop(NamedTuple):
    """Batch latencies of a loop, and its wall and CPU time."""

    latencies_s: list[float]
    wall_s: float
    cpu_s: float


def _bare(backend: TensorRtBackend, batch: int, seconds: float) -> _Loop:
    """Keep as many graphs in flight as the product has slots. One thread restarts them when they are done."""
    with backend.gpu.device.current(), ExitStack() as held:
        slots = [_bare_slot(backend, batch, held) for _ in range(backend.plan.slots)]
        for _ in range(_WARM_UP):
            for slot in slots:
                slot.start()
                slot.done.wait()
        latencies_s: list[float] = []
        cpu_s, start_s = time.process_time(), time.perf_counter()
        began_s = [slot.start() for slot in slots]
        while time.perf_counter() < start_s + seconds:
            for number_, slot in enumerate(slots):
                slot.done.wait()
                latencies_s.append(time.perf_counter() - began_s[number_])
                began_s[number_] = slot.start()
        for slot in slots:
            slot.done.wait()
        latencies_s += [time.perf_counter() - began for began in began_s]
        return _Loop(latencies_s, time.perf_counter() - start_s, time.process_time() - cpu_s)


def _bare_slot(backend: TensorRtBackend, batch: int, held: ExitStack) -> _BareSlot:
    from framelane.gpu.graph import capture  # noqa: PLC0415 - needs the driver
    from framelane.gpu.stream import Event, Stream  # noqa: PLC0415 - needs PyCUDA

    stream = Stream()
    held.callback(stream.close)
    contexts = held.enter_context(closing(backend.contexts(stream)))
    bucket = backend.plan.bucket_for(batch)
    contexts.enqueue(bucket, stream)
    stream.synchronize()
    graph = capture(stream, lambda: contexts.enqueue(bucket, stream))
    held.callback(graph.close)
    done = Event()
    held.callback(done.close)
    return _BareSlot(stream, graph, done)


def _product(model: Model, batch: int, seconds: float) -> tuple[list[GpuFigures], int]:
    """Run the product's runners, one thread each: first the graphs alone, then everything.

    Also return GPU memory.
    """
    backend = cast("TensorRtBackend", model.backend)
    slots = backend.plan.slots
    together = threading.Barrier(slots + 1)
    figures = []
    with ThreadPoolExecutor(slots, "bench-slot") as pool, ExitStack() as guard:
        guard.callback(together.abort)
        calls = [pool.submit(_slot, model, batch, together, seconds) for _ in range(slots)]
        for call in calls:
            call.add_done_callback(lambda done: together.abort() if done.exception() else None)
        try:
            together.wait()
            used = backend.gpu.device.memory_used()
            spans = [_span(together) for _ in (GRAPH, WHOLE)]
        except threading.BrokenBarrierError:
            failed = (call.exception() for call in calls)
            raise next(
                error for error in failed if error and not isinstance(error, threading.BrokenBarrierError)
            ) from None
        results = [call.result() for call in calls]
        guard.pop_all()
    for index, way in enumerate((GRAPH, WHOLE)):
        wall_s, cpu_s = spans[index]
        latencies_s = [latency_s for result in results for latency_s in result[index]]
        figures.append(_rate(way, batch, slots, latencies_s, wall_s, cpu_s))
    return figures, used


def _span(together: threading.Barrier) -> tuple[float, float]:
    """Return wall and CPU time between two barriers of all threads."""
    together.wait()
    cpu_s, start_s = time.process_time(), time.perf_counter()
    together.wait()
    return time.perf_counter() - start_s, time.process_time() - cpu_s


def _slot(model: Model, batch: int, together: threading.Barrier, seconds: float) -> list[list[float]]:
    everything = [model.filter()] * batch
    with closing(model.runner(model.backend.best_batch)) as made, ExitStack() as held:
        runner = cast("CudaRunner", made)
        runner.open()
        surfaces = [_surface(held, row) for row in range(batch)]
        together.wait()
        ways = (
            lambda: runner.replay(batch),
            lambda: runner.detect(cast("list[av.VideoFrame]", list(surfaces)), everything, [None] * batch),
        )
        return [_repeat(way, together, seconds) for way in ways]


def _repeat(call: Callable[[], object], together: threading.Barrier, seconds: float) -> list[float]:
    """Call until the time is over; return how long each call took."""
    for _ in range(_WARM_UP):
        call()
    latencies_s: list[float] = []
    together.wait()
    end_s = time.perf_counter() + seconds
    while (began_s := time.perf_counter()) < end_s:
        call()
        latencies_s.append(time.perf_counter() - began_s)
    together.wait()
    return latencies_s


def _surface(held: ExitStack, seed: int) -> SimpleNamespace:
    """Return an NV12 frame on the GPU, as NVDEC leaves it, with all attributes that the image table reads."""
    from framelane.gpu.memory import DeviceBuffer, PinnedBuffer  # noqa: PLC0415 - needs PyCUDA
    from framelane.gpu.stream import Stream  # noqa: PLC0415 - needs PyCUDA

    width, height = PICTURE_WH
    size = _PITCH * height * 3 // 2
    buffer = DeviceBuffer(size)
    held.callback(buffer.close)
    with closing(PinnedBuffer(size)) as host, closing(Stream()) as stream:
        host.array[:] = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
        stream.copy_in(buffer.address, host.address, size)
        stream.synchronize()
    chroma = buffer.address + _PITCH * height
    planes = (
        SimpleNamespace(buffer_ptr=buffer.address, line_size=_PITCH, width=width, height=height),
        SimpleNamespace(buffer_ptr=chroma, line_size=_PITCH, width=width // 2, height=height // 2),
    )
    formats = {
        "format": av.VideoFormat("cuda", width, height),
        "sw_format": av.VideoFormat("nv12", width, height),
    }
    return SimpleNamespace(width=width, height=height, planes=planes, colorspace=1, color_range=1, **formats)


def _rate(
    way: str, batch: int, slots: int, latencies_s: list[float], wall_s: float, cpu_s: float
) -> GpuFigures:
    images = len(latencies_s) * batch
    return GpuFigures(
        way, batch, slots, images / wall_s, 1e3 * cpu_s / max(images, 1), Percentiles.of_seconds(latencies_s)
    )
