"""Counters that the hot path feeds: the one source of MQTT stats, log lines, Prometheus and the live table.

Each event costs well under a microsecond: plain ints, preallocated rings, a bisect per histogram, and no
client library. A meter never makes its caller wait for a reader: `snapshot` holds the lock only to copy.
"""

from __future__ import annotations

import itertools
import threading
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LATENCY_BUCKETS_S = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

DROP_REASONS = ("fps", "late", "replaced", "decode", "stopping", "failed")
"""Why a frame was not inferred: over the `fps` limit, skipped before it was decoded to stay on time, replaced by a
newer one while it waited, not decodable, the daemon or stream was stopping, inference of its batch failed."""

LEFT_OUT_REASONS = ("empty", "rate")
"""Why a result was not published: without objects (`publish.empty`), over `publish.max_rate`."""

RING = 2048
"""Latencies kept a stream for percentiles: 68 s at 30 frames a second. A power of two."""

_births = itertools.count(1)


@dataclass(frozen=True, slots=True)
class HistogramCounts:
    """A histogram as it stood: `counts[i]` values lie in the bucket that ends at `bounds[i]`, or at +Inf."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def observations(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class Histogram:
    """Fixed buckets that count values, upper bounds included. Its owner does the locking."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def counts(self) -> HistogramCounts:
        """A copy that later values don't change."""
        return HistogramCounts(self._bounds, tuple(self._counts), self._total)


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """A StreamMeter as it stood: totals since the meter was made.

    Attributes:
        born: differs between two meters of the same stream id, so that a difference never spans a removal.
        received: pictures read.
        decoded: frames decoded.
        inferred: frames inferred; a frame that goes to two models counts twice.
        published: results handed to the sinks.
        reconnects: times the stream came back after it was lost.
        fallbacks: times NVDEC refused the stream and the CPU decoded it.
        dropped: frames not inferred, by reason.
        left_out: results that `publish` leaves out, by reason.
        clock_offset_s: by how much the camera's clock is ahead of this host's, None where it doesn't tell.
        queued_s: sum of seconds between frame in hand and batch start, over inferred frames.
        inferred_s: sum of seconds between batch start and detections, over inferred frames.
        latency: capture to publish, in seconds.
        queue: frame in hand to batch start, in seconds.
        ring: the last latencies; `latencies_since` reads it.
    """

    stream: str
    born: int
    received: int
    decoded: int
    inferred: int
    published: int
    reconnects: int
    fallbacks: int
    dropped: Mapping[str, int]
    left_out: Mapping[str, int]
    clock_offset_s: float | None
    queued_s: float
    inferred_s: float
    latency: HistogramCounts
    queue: HistogramCounts
    ring: array[float]

    def latencies_since(self, published_before: int) -> array[float]:
        """Latencies in seconds of what was published after `published_before`, at most the last RING."""
        count = min(self.published - published_before, RING)
        if count <= 0:
            return array("d")
        end = self.published % RING
        start = end - count
        return self.ring[start:end] if start >= 0 else self.ring[start:] + self.ring[:end]


class StreamMeter:
    """Counts what happens to one stream's frames.

    `frame_received` and `frame_decoded` have one writer each at a time, the thread that reads or decodes the stream,
    and take no lock. All else may be called from any thread at once (camera, decoder, batcher, every slot of every
    model) and takes the meter's own lock, which is never held for more than a few additions: about 0.1 microseconds,
    and simpler to trust than per-thread cells.
    """

    __slots__ = (
        "_born", "_clock_offset_s", "_decoded", "_dropped", "_fallbacks", "_inferred", "_inferred_s", "_latency",
        "_left_out", "_lock", "_published", "_queue", "_queued_s", "_received", "_reconnects", "_ring", "_video",
        "stream",
    )  # fmt: skip

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self._born = next(_births)
        self._lock = threading.Lock()
        self._received = 0
        self._decoded = 0
        self._inferred = 0
        self._published = 0
        self._reconnects = 0
        self._fallbacks = 0
        self._dropped = dict.fromkeys(DROP_REASONS, 0)
        self._left_out = dict.fromkeys(LEFT_OUT_REASONS, 0)
        self._clock_offset_s: float | None = None
        self._queued_s = 0.0
        self._inferred_s = 0.0
        self._latency = Histogram(LATENCY_BUCKETS_S)
        self._queue = Histogram(STAGE_BUCKETS_S)
        self._ring = array("d", bytes(8 * RING))

    def frame_received(self) -> None:
        """A picture was read from the network or file. The thread that reads the stream alone."""
        self._received += 1

    def frame_decoded(self) -> None:
        """The decoder gave a frame. The thread that decodes the stream alone."""
        self._decoded += 1

    def frame_dropped(self, reason: str, count: int = 1) -> None:
        """Frames will not be inferred, for one of DROP_REASONS."""
        with self._lock:
            self._dropped[reason] = self._dropped.get(reason, 0) + count

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """A model ran on a frame that had waited `queued_s`; its batch took `inferred_s` to detections."""
        with self._lock:
            self._inferred += 1
            self._queued_s += queued_s
            self._inferred_s += inferred_s
            self._queue.observe(queued_s)

    def result_published(self, latency_s: float) -> None:
        """A result went to the sinks `latency_s` after capture; 0 where a camera's clock is ahead of ours."""
        if latency_s < 0.0:  # noqa: PLR1730 - max() costs as much as all the rest
            latency_s = 0.0
        with self._lock:
            self._ring[self._published % RING] = latency_s
            self._published += 1
            self._latency.observe(latency_s)

    def result_left_out(self, reason: str) -> None:
        """A result is not published, for one of LEFT_OUT_REASONS."""
        with self._lock:
            self._left_out[reason] += 1

    def reconnected(self) -> None:
        """The stream is live again after it was lost. StatusBoard calls this."""
        with self._lock:
            self._reconnects += 1

    def decoder_fell_back(self) -> None:
        """NVDEC refused the stream, and the CPU decodes it. The thread that decodes the stream alone."""
        self._fallbacks += 1

    def camera_clock_told(self, offset_s: float | None) -> None:
        """The camera's clock is ahead of this host's by so much; None where it doesn't tell."""
        self._clock_offset_s = offset_s

    def snapshot(self) -> StreamCounts:
        """All totals at one moment."""
        with self._lock:
            return StreamCounts(
                stream=self.stream,
                born=self._born,
                received=self._received,
                decoded=self._decoded,
                inferred=self._inferred,
                published=self._published,
                reconnects=self._reconnects,
                fallbacks=self._fallbacks,
                dropped=dict(self._dropped),
                left_out=dict(self._left_out),
                clock_offset_s=self._clock_offset_s,
                queued_s=self._queued_s,
                inferred_s=self._inferred_s,
                latency=self._latency.counts(),
                queue=self._queue.counts(),
                ring=self._ring[:],
            )


@dataclass(frozen=True, slots=True)
class ModelCounts:
    """A ModelMeter as it stood: batch sizes, seconds a batch by stage, and slots that run."""

    model: str
    batch_size: HistogramCounts
    stages: Mapping[str, HistogramCounts]
    slots: int = 0

    @property
    def batches(self) -> int:
        """How many batches ran."""
        return self.batch_size.observations

    @property
    def frames(self) -> int:
        """How many frames were in them."""
        return int(self.batch_size.total)

    @property
    def spent_s(self) -> float:
        """Seconds that all stages of all batches took."""
        return sum(stage.total for stage in self.stages.values())


class ModelMeter:
    """Counts one model's batches; any of its slots' threads may call."""

    __slots__ = ("_batch_size", "_infer", "_lock", "_postprocess", "_preprocess", "_slots", "model")

    def __init__(self, model: str) -> None:
        self.model = model
        self._lock = threading.Lock()
        self._batch_size = Histogram(BATCH_BUCKETS)
        self._preprocess = Histogram(STAGE_BUCKETS_S)
        self._infer = Histogram(STAGE_BUCKETS_S)
        self._postprocess = Histogram(STAGE_BUCKETS_S)
        self._slots = 0

    def slots_opened(self, count: int) -> None:
        """So many slots take the model's batches from now on."""
        self._slots = count

    def batch_done(self, size: int, preprocess_s: float, infer_s: float, postprocess_s: float) -> None:
        """A batch of `size` frames went through the model; each stage's seconds are the whole batch's."""
        with self._lock:
            self._batch_size.observe(size)
            self._preprocess.observe(preprocess_s)
            self._infer.observe(infer_s)
            self._postprocess.observe(postprocess_s)

    def snapshot(self) -> ModelCounts:
        """All totals at one moment."""
        with self._lock:
            stages = {
                "preprocess": self._preprocess.counts(),
                "infer": self._infer.counts(),
                "postprocess": self._postprocess.counts(),
            }
            return ModelCounts(self.model, self._batch_size.counts(), stages, self._slots)


@dataclass(frozen=True, slots=True)
class Counts:
    """Every meter as it stood, by stream id and by model name, in the order of their creation."""

    streams: Mapping[str, StreamCounts]
    models: Mapping[str, ModelCounts]


class CountsSource(Protocol):
    """Whoever has all counts: the process's own Meters, or the sum over several processes."""

    def snapshot(self) -> Counts:
        """All counts at one moment, nearly."""
        ...


class Meters:
    """All meters of the process. Make them up front and hand them out: a look-up is not for the hot path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, StreamMeter] = {}
        self._models: dict[str, ModelMeter] = {}

    def stream(self, stream: str) -> StreamMeter:
        """The stream's meter, made at the first call."""
        with self._lock:
            return self._streams.setdefault(stream, StreamMeter(stream))

    def model(self, model: str) -> ModelMeter:
        """The model's meter, made at the first call."""
        with self._lock:
            return self._models.setdefault(model, ModelMeter(model))

    def remove_stream(self, stream: str) -> None:
        """Forget a stream: it leaves all statistics; late calls to its meter do no harm."""
        with self._lock:
            self._streams.pop(stream, None)

    def snapshot(self) -> Counts:
        """Every meter, each at one moment."""
        with self._lock:
            streams, models = list(self._streams.values()), list(self._models.values())
        return Counts(
            {meter.stream: meter.snapshot() for meter in streams},
            {meter.model: meter.snapshot() for meter in models},
        )
