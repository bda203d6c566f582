"""Measures ONNX Runtime alone, as the product calls it, by batch size and threads."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from framelane.config.sections.model import ModelConfig
from framelane.inference.model import load_model
from framelane.measure.figures import Percentiles
from framelane.measure.host import Host, describe_host
from framelane.measure.report import LATENCY_COLUMNS, Section, latency_cells, number
from framelane.models.artifact import Artifact
from framelane.models.onnx_session import OnnxSession

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.models.input.spec import InputSpec

BATCHES = (1, 2, 4, 8)
_FULL_THROUGHPUT = 0.95
_WARM_UP_RUNS = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """How the model is called: images per call, calls at once, and ONNX Runtime's threads inside each."""

    batch: int
    callers: int = 1
    threads: int = 1

    def __str__(self) -> str:
        return f"batch {self.batch}, {self.callers} x {self.threads} threads"


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """Figures for one way to call the model.

    Attributes:
        shape: the way.
        images_s: images per second, all callers together.
        cpu_ms_an_image: CPU time of the process per image.
        latency_ms: of one call.
    """

    shape: Shape
    images_s: float
    cpu_ms_an_image: float
    latency_ms: Percentiles | None


@dataclass(frozen=True, slots=True)
class EngineBench:
    """Figures for a model, called in all ways.

    Attributes:
        seconds: how long each way was measured.
        best: the way with the least CPU per image among those within 5 % of the highest throughput.
    """

    host: Host
    model: str
    hash: str
    input: str
    seconds: float
    variants: tuple[EngineFigures, ...]
    best: EngineFigures
    rss_mb: float

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return asdict(self)

    def sections(self) -> tuple[Section, ...]:
        """Return a table with a row for each way."""
        title = f"{self.model} ({self.hash}), input {self.input}, RSS {self.rss_mb:.0f} MB\n{self.host}"
        columns = ("batch", "callers", "threads", "images/s", "CPU ms/image", *LATENCY_COLUMNS, "")
        return (Section(title, columns, tuple(self._row(each) for each in self.variants)),)

    def _row(self, each: EngineFigures) -> tuple[str, ...]:
        shape = each.shape
        return (
            *(str(value) for value in (shape.batch, shape.callers, shape.threads)),
            number(each.images_s),
            number(each.cpu_ms_an_image, 2),
            *latency_cells(each.latency_ms),
            "best" if each == self.best else "",
        )


def bench_engine(
    model_path: str | Path, batches: Sequence[int] = BATCHES, threads: int = 0, seconds: float = 2.0
) -> EngineBench:
    """Measure a model in every useful way on some cores.

    Args:
        model_path: an ONNX file.
        batches: batch sizes to try; for a file with a fixed batch, only that is tried.
        threads: most cores to use; 0 for all that this process may use.
        seconds: how long to measure each way.

    Raises:
        ModelError: the product can't run the model.
    """
    host = describe_host()
    artifact = Artifact.open(model_path)
    spec = load_model("bench", ModelConfig(path=str(model_path), backend="onnxruntime")).input
    cores = threads or len(os.sched_getaffinity(0))
    sizes = batches if artifact.batch is None else (artifact.batch,)
    sessions = {count: OnnxSession(artifact, count) for count in range(1, cores + 1)}
    variants = tuple(_measure(sessions[shape.threads], spec, shape, seconds) for shape in ways(sizes, cores))
    return EngineBench(
        host=host,
        model=str(model_path),
        hash=artifact.hash,
        input=f"{spec.size_wh[0]}x{spec.size_wh[1]} {spec.dtype}",
        seconds=seconds,
        variants=variants,
        best=best_of(variants),
        rss_mb=psutil.Process().memory_info().rss / 1e6,
    )


def bench_shapes(model_path: str | Path, shapes: Sequence[Shape], seconds: float) -> EngineFigures:
    """Measure a model called in some ways, each for its share of `seconds`, and return the best.

    Raises:
        ModelError: the product can't run the model.
    """
    artifact = Artifact.open(model_path)
    spec = load_model("bench", ModelConfig(path=str(model_path), backend="onnxruntime")).input
    share_s = seconds / len(shapes)
    return best_of([_measure(OnnxSession(artifact, shape.threads), spec, shape, share_s) for shape in shapes])


def ways(batches: Sequence[int], cores: int) -> list[Shape]:
    """Return, per batch, 1 to `cores` callers of one thread each, then one caller of 2 to `cores` threads."""
    calls = [(callers, 1) for callers in range(1, cores + 1)] + [
        (1, threads) for threads in range(2, cores + 1)
    ]
    return [Shape(batch, callers, threads) for batch in batches for callers, threads in calls]


def best_of(variants: Sequence[EngineFigures]) -> EngineFigures:
    """Return the way with the least CPU per image among those that reach full throughput."""
    enough = _FULL_THROUGHPUT * max(each.images_s for each in variants)
    return min((each for each in variants if each.images_s >= enough), key=lambda each: each.cpu_ms_an_image)


def finalists(variants: Sequence[EngineFigures], count: int = 3) -> list[Shape]:
    """Return the ways that deserve a longer measurement: those with the highest throughput."""
    ranked = sorted(variants, key=lambda each: each.images_s, reverse=True)
    return [each.shape for each in ranked[:count]]


def _measure(session: OnnxSession, spec: InputSpec, shape: Shape, seconds: float) -> EngineFigures:
    pictures = _noise(spec, shape.batch)
    for _ in range(_WARM_UP_RUNS):
        session.run(pictures)
    together = threading.Barrier(shape.callers + 1)
    with ThreadPoolExecutor(shape.callers, "bench-engine") as pool:
        calls = [pool.submit(_call, session, pictures, together, seconds) for _ in range(shape.callers)]
        cpu_s, start_s = time.process_time(), time.perf_counter()
        together.wait()
        latencies_s = [latency_s for call in calls for latency_s in call.result()]
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - start_s
    images = len(latencies_s) * shape.batch
    return EngineFigures(shape, images / wall_s, 1e3 * cpu_s / images, Percentiles.of_seconds(latencies_s))


def _call(
    session: OnnxSession, pictures: NDArray[np.generic], together: threading.Barrier, seconds: float
) -> list[float]:
    """Call until the time is over, at least once; return how long each call took."""
    latencies_s: list[float] = []
    together.wait()
    end_s = time.perf_counter() + seconds
    while not latencies_s or time.perf_counter() < end_s:
        began_s = time.perf_counter()
        session.run(pictures)
        latencies_s.append(time.perf_counter() - began_s)
    return latencies_s


def _noise(spec: InputSpec, batch: int) -> NDArray[np.generic]:
    width, height = spec.size_wh
    values = np.random.default_rng(0).integers(0, 256, (batch, 3, height, width), np.uint8)
    return values if spec.dtype == "uint8" else (values / 255).astype(spec.dtype)
