"""The routes behind the page's figures: a stream's past, what each stage takes, what lines and zones count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from framelane.telemetry.history import objects_of
from framelane.web.rules import RulesReply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.telemetry.history import History, Sample
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.stats import ModelStats, NodeStats

_StreamId = Annotated[str, Path(description="The stream's id.")]


class SampleReply(BaseModel):
    """A stream's figures over one window of statistics."""

    at: float = Field(description="Unix time of the window's end.")
    fps_in: float
    fps_inferred: float
    dropped_per_s: float = Field(description="Frames dropped per second, for all reasons.")
    p50_ms: float | None = Field(description="Median latency from capture to publish.")
    p95_ms: float | None


class ChangeReply(BaseModel):
    """A stream's new state or reason."""

    at: float = Field(description="Unix time.")
    state: str
    reason: str
    text: str


class ObjectsReply(BaseModel):
    """How many objects of a label were seen."""

    label: str | None = Field(description="The label; null for all that are less frequent.")
    per_frame: list[float | None] = Field(
        description="Mean number per frame, for each of `samples`; null without a result."
    )


class HistoryReply(BaseModel):
    """The last 15 minutes of a stream, the oldest first; empty for an unknown one."""

    samples: list[SampleReply]
    objects: list[ObjectsReply] = Field(description="The most frequent labels.")
    changes: list[ChangeReply] = Field(description="At most 50.")


class StageReply(BaseModel):
    """One stage of the pipeline over the last window."""

    name: str
    model: str | None = Field(description="The model; null for stages that all models share.")
    per_s: float = Field(description="Frames, or batches of a model, per second.")
    mean_ms: float | None = Field(description="Mean duration; null if it is not measured.")
    occupancy: float | None = Field(
        description="Share of the model's slots that this stage keeps busy, 0 to 1; null for other stages."
    )


class ModelReply(BaseModel):
    """One model's batches over the last window."""

    name: str
    batch_size: float | None
    batches_per_s: float
    slots: int


class GpuReply(BaseModel):
    """One GPU; values that the driver does not report are null."""

    name: str
    utilization: float | None
    decoder_utilization: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None


class SinkReply(BaseModel):
    """One sink's health."""

    name: str
    connected: bool
    queued: int
    delivered: int
    dropped: int
    last_error: str | None
    spool_messages: int | None
    spool_bytes: int | None


class NodeInsightReply(BaseModel):
    """What each stage takes, and the node's resources; null and empty before the first window."""

    load: float | None = Field(description="Demand for inference as a share of capacity.")
    stages: list[StageReply]
    models: list[ModelReply]
    gpus: list[GpuReply]
    rss_bytes: int | None
    cpu_cores: float | None
    sinks: list[SinkReply]


def insight(stats: NodeStats | None, slots: dict[str, int], sinks: Sequence[SinkHealth]) -> NodeInsightReply:
    """Return the reply for the newest statistics, the models' slots, and the sinks."""
    models = [] if stats is None else [_model(each, slots.get(each.model, 0)) for each in stats.models]
    return NodeInsightReply(
        load=None if stats is None else stats.load,
        stages=[] if stats is None else _stages(stats, slots),
        models=models,
        gpus=[
            GpuReply(
                name=gpu.name,
                utilization=gpu.utilization,
                decoder_utilization=gpu.decoder_utilization,
                memory_used_bytes=gpu.memory_used_bytes,
                memory_total_bytes=gpu.memory_total_bytes,
            )
            for gpu in (() if stats is None else stats.gpus)
        ],
        rss_bytes=None if stats is None else stats.rss_bytes,
        cpu_cores=None if stats is None else stats.cpu_cores,
        sinks=[_sink(each) for each in sinks],
    )


def router(
    history: History, node: Callable[[], NodeInsightReply], rules: Callable[[], RulesReply]
) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api", tags=["status"])

    @routes.get("/streams/{stream}/history")
    async def get_history(stream: _StreamId) -> HistoryReply:
        """Return a stream's figures and changes of state over the last 15 minutes."""
        samples, changes = history.of(stream)
        return HistoryReply(
            samples=[_sample(each) for each in samples],
            objects=[
                ObjectsReply(label=label or None, per_frame=series)
                for label, series in objects_of(samples).items()
            ],
            changes=[ChangeReply(**each._asdict()) for each in changes],
        )

    @routes.get("/node")
    async def get_node() -> NodeInsightReply:
        """Return rate and time of each stage, batches, GPUs, memory and sinks."""
        return node()

    @routes.get("/rules", response_model=RulesReply)
    async def get_rules() -> RulesReply:
        """Return the lines and zones of all streams, and what they count now."""
        return rules()

    return routes


def _sample(sample: Sample) -> SampleReply:
    return SampleReply(
        at=sample.at,
        fps_in=sample.fps_in,
        fps_inferred=sample.fps_inferred,
        dropped_per_s=sample.dropped_per_s,
        p50_ms=sample.p50_ms,
        p95_ms=sample.p95_ms,
    )


def _stages(stats: NodeStats, slots: dict[str, int]) -> list[StageReply]:
    inferred = [
        (stream.queue_ms, stream.fps_inferred) for stream in stats.streams if stream.queue_ms is not None
    ]
    rate = sum(fps for _, fps in inferred)
    queue_ms = sum(ms * fps for ms, fps in inferred) / rate if rate else None
    return [
        _stage("receive", None, stats.fps_in, None, None),
        _stage("decode", None, stats.fps_decoded, None, None),
        _stage("queue", None, stats.fps_inferred, queue_ms, None),
        *(stage for model in stats.models for stage in _model_stages(model, slots.get(model.model, 0))),
        _stage("publish", None, stats.fps_published, None, None),
    ]


def _model_stages(model: ModelStats, slots: int) -> list[StageReply]:
    times = (
        ("preprocess", model.preprocess_ms),
        ("infer", model.infer_ms),
        ("postprocess", model.postprocess_ms),
    )
    stages = []
    for name, mean_ms in times:
        occupancy = None
        if mean_ms is not None and slots:
            occupancy = min(model.batches_per_s * mean_ms / 1e3 / slots, 1.0)
        stages.append(_stage(name, model.model, model.batches_per_s, mean_ms, occupancy))
    return stages


def _stage(
    name: str, model: str | None, per_s: float, mean_ms: float | None, occupancy: float | None
) -> StageReply:
    return StageReply(name=name, model=model, per_s=per_s, mean_ms=mean_ms, occupancy=occupancy)


def _model(model: ModelStats, slots: int) -> ModelReply:
    return ModelReply(
        name=model.model, batch_size=model.batch_size, batches_per_s=model.batches_per_s, slots=slots
    )


def _sink(sink: SinkHealth) -> SinkReply:
    return SinkReply(
        name=sink.name,
        connected=sink.connected,
        queued=sink.queued,
        delivered=sink.delivered,
        dropped=sink.dropped,
        last_error=sink.last_error,
        spool_messages=None if sink.spool is None else sink.spool.messages,
        spool_bytes=None if sink.spool is None else sink.spool.disk_bytes,
    )
