"""Counters fed by the hot path: the one source of MQTT stats, log lines, Prometheus and the live table.

Each event costs well under a microsecond: plain ints, preallocated rings, a bisect per histogram, and no
client library. Readers don't block callers for long: `snapshot` holds the lock only to copy.
"""

from __future__ import annotations

import itertools
import threading
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from framelane.core.drop_reasons import DROPS, LeftOutReason
from framelane.telemetry.crop_counts import CropMeter
from framelane.telemetry.histogram import BATCH_BUCKETS, LATENCY_BUCKETS_S, STAGE_BUCKETS_S, Histogram
from framelane.telemetry.objects import ObjectCounter, ObjectCounts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.core.drop_reasons import DropReason
    from framelane.telemetry.crop_counts import CropCounts
    from framelane.telemetry.histogram import HistogramCounts

RING = 2048
"""Latencies kept per stream for percentiles: 68 s at 30 frames per second. A power of two."""

FootageFate = Literal["kept", "queue", "disk", "failed"]
SnapshotFate = Literal["kept", "queue", "disk", "failed", "unseen"]
"""Kept; or lost: too many waited, it could not be written to disk, it could not be made."""

_births = itertools.count(1)


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """A StreamMeter's values at one moment: totals since its creation.

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
        clock_offset_s: seconds by which the camera's clock is ahead of this host's; None if the camera
            doesn't tell.
        queued_s: sum of seconds between arrival and batch start, over inferred frames.
        inferred_s: sum of seconds between batch start and detections, over inferred frames.
        latency: capture to publish, in seconds.
        queue: arrival to batch start, in seconds.
        ring: the last latencies, read by `latencies_since`.
        tracks: objects that are tracked now, over all models.
        tracks_capped: objects that were not tracked because there were too many.
        snapshots: snapshots of events, by what became of them.
        clips: clips of events, likewise.
        objects: objects that were found, by label.
        crops: crops of its objects, by second model.
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
    tracks: int = 0
    tracks_capped: int = 0
    snapshots: Mapping[str, int] = field(default_factory=dict)
    clips: Mapping[str, int] = field(default_factory=dict)
    objects: ObjectCounts = field(default_factory=ObjectCounts)
    crops: Mapping[str, CropCounts] = field(default_factory=dict)

    def latencies_since(self, published_before: int) -> array[float]:
        """Return latencies, in seconds, of results after `published_before`, at most the last RING."""
        count = min(self.published - published_before, RING)
        if count <= 0:
            return array("d")
        end = self.published % RING
        start = end - count
        return self.ring[start:end] if start >= 0 else self.ring[start:] + self.ring[:end]


class StreamMeter:
    """Counts one stream's frames.

    `frame_received` and `frame_decoded` have one writer each at a time, the thread that reads or decodes the
    stream, and take no lock. All other methods may be called from any thread (camera, decoder, batcher, every
    slot of every model) and take the meter's own lock, which is held for a few additions only: about 0.1
    microseconds, and simpler to trust than per-thread cells.
    """

    __slots__ = (
        "_born", "_clips", "_clock_offset_s", "_crops", "_decoded", "_dropped", "_fallbacks", "_inferred",
        "_inferred_s", "_latency", "_left_out", "_lock", "_published", "_queue", "_queued_s", "_received",
        "_reconnects", "_ring", "_snapshots", "_tracks", "objects", "stream",
    )  # fmt: skip

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.objects = ObjectCounter()
        self._born = next(_births)
        self._lock = threading.Lock()
        self._received = 0
        self._decoded = 0
        self._inferred = 0
        self._published = 0
        self._reconnects = 0
        self._fallbacks = 0
        self._dropped: dict[str, int] = dict.fromkeys(DROPS, 0)
        self._left_out: dict[str, int] = dict.fromkeys(get_args(LeftOutReason), 0)
        self._clock_offset_s: float | None = None
        self._queued_s = 0.0
        self._inferred_s = 0.0
        self._latency = Histogram(LATENCY_BUCKETS_S)
        self._queue = Histogram(STAGE_BUCKETS_S)
        self._ring = array("d", bytes(8 * RING))
        # By model: tracks now, and objects that found no room.
        self._tracks: dict[str, tuple[int, int]] = {}
        self._snapshots: dict[str, int] = dict.fromkeys(get_args(SnapshotFate), 0)
        self._clips: dict[str, int] = dict.fromkeys(get_args(FootageFate), 0)
        self._crops: dict[str, CropMeter] = {}

    def frame_received(self) -> None:
        """Count a picture read from the network or file. Only for the thread that reads the stream."""
        self._received += 1

    def frame_decoded(self) -> None:
        """Count a decoded frame. Only for the thread that decodes the stream."""
        self._decoded += 1

    def frame_dropped(self, reason: DropReason, count: int = 1) -> None:
        """Count frames that will not be inferred."""
        with self._lock:
            self._dropped[reason] += count

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """Count an inferred frame that had waited `queued_s`; its batch took `inferred_s` to detections."""
        with self._lock:
            self._inferred += 1
            self._queued_s += queued_s
            self._inferred_s += inferred_s
            self._queue.observe(queued_s)

    def result_published(self, latency_s: float) -> None:
        """Count a result published `latency_s` after capture.

        Negative, if the camera's clock is ahead, counts as 0.
        """
        if latency_s < 0.0:  # noqa: PLR1730 - max() costs as much as all the rest
            latency_s = 0.0
        with self._lock:
            self._ring[self._published % RING] = latency_s
            self._published += 1
            self._latency.observe(latency_s)

    def result_left_out(self, reason: LeftOutReason) -> None:
        """Count a result that is not published."""
        with self._lock:
            self._left_out[reason] += 1

    def tracks_seen(self, model: str, tracks: int, capped: int) -> None:
        """Take a model's number of tracks now, and of objects that found no room among them so far."""
        self._tracks[model] = tracks, capped

    def snapshot_made(self, fate: SnapshotFate) -> None:
        """Count a snapshot by what became of it."""
        with self._lock:
            self._snapshots[fate] += 1

    def clip_made(self, fate: FootageFate) -> None:
        """Count a clip by what became of it."""
        with self._lock:
            self._clips[fate] += 1

    def crops(self, model: str) -> CropMeter:
        """Return what counts the crops of this stream's objects for a second model, created on the first call."""
        with self._lock:
            return self._crops.setdefault(model, CropMeter())

    def reconnected(self) -> None:
        """Count a reconnect; called by StreamStatus."""
        with self._lock:
            self._reconnects += 1

    def decoder_fell_back(self) -> None:
        """Count a stream that NVDEC refused and the CPU decodes.

        Only for the thread that decodes the stream.
        """
        self._fallbacks += 1

    def set_clock_offset(self, offset_s: float | None) -> None:
        """Set the seconds by which the camera's clock is ahead of this host's.

        None if the camera doesn't tell.
        """
        self._clock_offset_s = offset_s

    def snapshot(self) -> StreamCounts:
        """All totals at one moment."""
        objects = self.objects.counts()
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
                tracks=sum(tracks for tracks, _ in self._tracks.values()),
                tracks_capped=sum(capped for _, capped in self._tracks.values()),
                snapshots=dict(self._snapshots),
                clips=dict(self._clips),
                objects=objects,
                crops={model: meter.snapshot() for model, meter in self._crops.items()},
            )


@dataclass(frozen=True, slots=True)
class ModelCounts:
    """A ModelMeter's values at one moment: batch sizes, seconds per batch by stage, and running slots.

    `not_copied` frames on the GPU found no room for a copy, for snapshots; copies have `copy_bytes`.
    """

    model: str
    batch_size: HistogramCounts
    stages: Mapping[str, HistogramCounts]
    slots: int = 0
    not_copied: int = 0
    copy_bytes: int = 0

    @property
    def batches(self) -> int:
        """The number of batches."""
        return self.batch_size.observations

    @property
    def frames(self) -> int:
        """The number of frames in all batches."""
        return int(self.batch_size.total)

    @property
    def spent_s(self) -> float:
        """The total seconds of all stages of all batches."""
        return sum(stage.total for stage in self.stages.values())


class ModelMeter:
    """Counts one model's batches; called by its slots' threads."""

    __slots__ = (
        "_batch_size", "_copy_bytes", "_infer", "_lock", "_not_copied", "_postprocess", "_preprocess", "_slots",
        "model",
    )  # fmt: skip

    def __init__(self, model: str) -> None:
        self.model = model
        self._lock = threading.Lock()
        self._batch_size = Histogram(BATCH_BUCKETS)
        self._preprocess = Histogram(STAGE_BUCKETS_S)
        self._infer = Histogram(STAGE_BUCKETS_S)
        self._postprocess = Histogram(STAGE_BUCKETS_S)
        self._slots = 0
        self._not_copied = 0
        self._copy_bytes = 0

    def slots_opened(self, count: int) -> None:
        """Set the number of running slots."""
        self._slots = count

    def batch_done(self, size: int, preprocess_s: float, infer_s: float, postprocess_s: float) -> None:
        """Count a batch of `size` frames, with the seconds that each stage took for the whole batch."""
        with self._lock:
            self._batch_size.observe(size)
            self._preprocess.observe(preprocess_s)
            self._infer.observe(infer_s)
            self._postprocess.observe(postprocess_s)

    def frames_copied(self, missed: int, held_bytes: int) -> None:
        """Count frames on the GPU that snapshots may need and that found no room, and set the room in use."""
        with self._lock:
            self._not_copied += missed
            self._copy_bytes = held_bytes

    def snapshot(self) -> ModelCounts:
        """All totals at one moment."""
        with self._lock:
            stages = {
                "preprocess": self._preprocess.counts(),
                "infer": self._infer.counts(),
                "postprocess": self._postprocess.counts(),
            }
            return ModelCounts(
                self.model, self._batch_size.counts(), stages, self._slots, self._not_copied, self._copy_bytes
            )


@dataclass(frozen=True, slots=True)
class Counts:
    """All meters' values, by stream id and by model name, in the order of their creation."""

    streams: Mapping[str, StreamCounts]
    models: Mapping[str, ModelCounts]


class CountsSource(Protocol):
    """A source of all counts: this process's Meters, or the sum over several processes."""

    def snapshot(self) -> Counts:
        """Return all counts."""
        ...


class Meters:
    """All meters of the process. Look meters up once and keep them: lookups take a lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, StreamMeter] = {}
        self._models: dict[str, ModelMeter] = {}

    def stream(self, stream: str) -> StreamMeter:
        """Return the stream's meter, created on the first call."""
        with self._lock:
            return self._streams.setdefault(stream, StreamMeter(stream))

    def model(self, model: str) -> ModelMeter:
        """Return the model's meter, created on the first call."""
        with self._lock:
            return self._models.setdefault(model, ModelMeter(model))

    def remove_stream(self, stream: str) -> None:
        """Remove a stream from all statistics; late calls to its meter do no harm."""
        with self._lock:
            self._streams.pop(stream, None)

    def snapshot(self) -> Counts:
        """Return all meters' values; each meter's are consistent."""
        with self._lock:
            streams, models = list(self._streams.values()), list(self._models.values())
        return Counts(
            {meter.stream: meter.snapshot() for meter in streams},
            {meter.model: meter.snapshot() for meter in models},
        )
