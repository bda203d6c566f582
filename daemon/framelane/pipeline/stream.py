"""A running stream: its meter, state, output and plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from framelane.analytics.rules.ruleset import RuleSet
from framelane.inference.job import Job
from framelane.live.tap import StreamTap
from framelane.models.input.letterbox import Crop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from framelane.config.sections.footage import SnapshotsConfig
    from framelane.config.sections.publish import PublishConfig
    from framelane.config.sections.stream import StreamConfig
    from framelane.core.drop_reasons import DropReason
    from framelane.core.frames import Frame, Result
    from framelane.inference.model import Model
    from framelane.inference.worker import ModelWorker
    from framelane.models.heads.class_filter import ClassFilter
    from framelane.sinks.stream_output import StreamOutput
    from framelane.sources.camera import CameraWorker
    from framelane.telemetry.meters import StreamMeter
    from framelane.telemetry.stream_status import StreamStatus


_WEAK = 0.5
"""Share of a threshold from which on a detection may continue a track."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stream asks of its models and messages. Replaced as a whole; frames in flight keep the old one.

    Attributes:
        wanted: the classes and thresholds to infer with, by model key.
        shown: the classes and thresholds to report if objects are tracked; `wanted` is lower then. Else empty.
        rules: lines, zones and options of events, by model key; empty if the stream has no events.
        crop: the part of each frame to look at; None for all of it.
        publish: which results become messages.
        snapshots: which events have snapshots, and how; None for none.
    """

    wanted: Mapping[str, ClassFilter]
    shown: Mapping[str, ClassFilter]
    rules: Mapping[str, RuleSet]
    crop: Crop | None
    publish: PublishConfig
    snapshots: SnapshotsConfig | None = None

    @staticmethod
    def of(config: StreamConfig, models: Mapping[str, Model]) -> Plan:
        """Return the plan of a stream's options, given at least its own models by key."""
        wanted = {key: models[key].filter(config.classes, config.confidence) for key in config.model_keys}
        shown: Mapping[str, ClassFilter] = {}
        rules: Mapping[str, RuleSet] = {}
        if config.track:
            wanted, shown = {key: each.weakened(_WEAK) for key, each in wanted.items()}, wanted
            rules = _rules(config, {key: models[key].info.labels for key in config.model_keys})
        snapshots = config.snapshots if rules else None
        return Plan(wanted, shown, rules, Crop.of(config.crop), config.publish, snapshots)

    def keeping(self, before: Plan) -> Plan:
        """Return this plan with the very filters of the one before if they are equal, so that tracks go on."""
        same = self.shown.keys() == before.shown.keys() and all(
            np.array_equal(each.thresholds, before.shown[key].thresholds) for key, each in self.shown.items()
        )
        return replace(self, wanted=before.wanted, shown=before.shown) if same and self.shown else self


def _rules(config: StreamConfig, labels: Mapping[str, Sequence[str]]) -> Mapping[str, RuleSet]:
    """Return a stream's rules for each of its models; a class counts for the first model that knows it."""
    events = config.event_options
    if events is None:
        return {}
    rules: dict[str, RuleSet] = {}
    taken: set[str] = set()
    for key in config.model_keys:
        rules[key] = RuleSet.of(config.lines, config.zones, events, labels[key], taken, key if rules else "")
        taken.update(labels[key])
    return rules


class Stream:
    """One stream, from being added to being removed, over changes and reconnects. Takes its models' results.

    Args:
        name: the stream's id.
        meter: counts frames.
        output: publishes results.
        plan: the stream's plan.
    """

    def __init__(self, name: str, meter: StreamMeter, output: StreamOutput, plan: Plan) -> None:
        self.id = name
        self.meter = meter
        self.output = output
        self.plan = plan
        self.status: StreamStatus
        self.camera: CameraWorker
        self.models: tuple[ModelWorker, ...] = ()
        """Its models, and those that look at their objects."""
        self.connection = 0
        """Counts connections of the camera; tracks do not outlive one."""
        self.connected = False
        """Whether a connection is live."""
        self.tap = StreamTap()
        """Shows pictures and results to viewers."""
        self.left = False
        """Whether the stream has been removed; frames of it may still be on their way."""

    def follow(self, plan: Plan) -> None:
        """Use another plan from the next frame on."""
        self.plan = plan.keeping(self.plan)
        self.output.follow(plan.publish)

    def look(self) -> None:
        """Update the state with models that fail on every batch."""
        troubles = [trouble for model in self.models if (trouble := model.trouble) is not None]
        self.status.model_failing("; ".join(troubles))

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """See Destination."""
        self.meter.frame_inferred(queued_s, inferred_s)

    def frame_dropped(self, reason: DropReason, count: int = 1) -> None:
        """See Destination."""
        self.meter.frame_dropped(reason, count)

    def deliver(self, result: Result) -> None:
        """See Destination."""
        self.output.publish(result)
        watch = self.tap.result
        if watch is not None:
            watch(result)


class StreamInput:
    """Passes the frames of one camera connection to the models that the stream had when it was opened.

    Args:
        stream: the stream.
        workers: its models, by key.
    """

    def __init__(self, stream: Stream, workers: Mapping[str, ModelWorker]) -> None:
        self._stream = stream
        self._workers = dict(workers)

    def join(self) -> None:
        """Note that the connection is live."""
        # Not in `leave`: the last frames of the connection may still be on their way then.
        self._stream.connection += 1
        self._stream.connected = True
        for worker in self._workers.values():
            worker.batcher.join(self._stream)

    def leave(self) -> None:
        """Note that the connection is over."""
        self._stream.connected = False
        for worker in self._workers.values():
            worker.batcher.leave(self._stream)

    def offer(self, frame: Frame, *, wait: bool = False) -> None:
        """Queue the newest frame for each model."""
        watch = self._stream.tap.frame
        if watch is not None:
            watch(frame)
        plan = self._stream.plan
        for key, worker in self._workers.items():
            wanted = plan.wanted.get(key)
            # None if the stream has switched to other models; this connection is about to close then.
            if wanted is not None:
                shown = plan.shown.get(key)
                pictured = 0 if plan.snapshots is None else plan.snapshots.objects
                if shown is not None:
                    pictured = max(pictured, worker.pictured)
                job = Job(frame.info, wanted, plan.crop, self._stream, shown, pictured)
                worker.batcher.offer(job, frame.picture, wait=wait)


def all_ended(streams: Sequence[Stream]) -> bool:
    """Return whether there are streams and each has been played to its end."""
    return bool(streams) and not any(stream.camera.alive for stream in streams)
