"""Plays a clip through a stream's models, tracker and rules, as the daemon would but as fast as it can."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from framelane.analytics.tracker import UNKNOWN
from framelane.core.clock import SystemClock
from framelane.core.events import Event
from framelane.core.frames import Result
from framelane.inference.job import Delivery
from framelane.measure.rules.counts import count_rules
from framelane.measure.rules.report import RulesReport
from framelane.measure.rules.trails import Trails
from framelane.measure.rules.truth import FoundFrame, TrueEvents, hota_by_label
from framelane.pipeline.stream import Plan, Stream
from framelane.pipeline.tracking import TrackingStage
from framelane.sinks.publisher import Publisher
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    import av

    from framelane.config.sections.stream import StreamConfig
    from framelane.core.events import Occupancy
    from framelane.core.frames import Detections, FrameInfo
    from framelane.measure.rules.clip import ClipFrame
    from framelane.measure.rules.inference import Slots
    from framelane.measure.rules.motfile import TrueFrame


class _Shown(NamedTuple):
    """A frame that is being inferred."""

    number: int
    info: FrameInfo
    picture: av.VideoFrame


class _Batch(NamedTuple):
    """Frames that are being inferred together, and what each model finds in them."""

    frames: Sequence[_Shown]
    found: Mapping[str, Future[list[Detections]]]


class Player:
    """One run of a clip.

    Args:
        config: the stream.
        slots: its models' slots, by key.
        truth: true objects by number of the frame, if they are known.
        say: called with each event as soon as it is known.
    """

    def __init__(
        self,
        config: StreamConfig,
        slots: Mapping[str, Slots],
        truth: Mapping[int, TrueFrame] | None,
        say: Callable[[Event], None],
    ) -> None:
        self._config = config
        self._slots = slots
        self._truth = truth
        self._say = say
        self._events: list[Event] = []
        meter, clock = StreamMeter(config.id), SystemClock()
        publisher = Publisher("test", "run", (), clock)
        self._plan = Plan.of(config, {key: each.model for key, each in slots.items()})
        output = publisher.open(config.id, config.publish, meter)
        self._stream = Stream(config.id, meter, output, self._plan)
        # The stage would end the tracks of a closed connection by our clock, and two runs would differ.
        self._stream.connected = True
        self._stages = {key: TrackingStage(key, publisher.origin, self, clock) for key in slots}
        self._true = None if truth is None else TrueEvents(self._plan.rules, truth)
        self._found: list[FoundFrame] = []
        self.trails = Trails()
        """Where objects went."""
        self._waiting: list[_Shown] = []
        self._batch = min(each.model.batch for each in slots.values())
        self._batches: deque[_Batch] = deque()
        self._most_batches = max(each.count for each in slots.values()) + 1
        self._frames = self._inferred = 0
        self._seconds = 0.0

    def play(self, shown: ClipFrame) -> None:
        """Take the clip's next frame."""
        self._frames, self._seconds = shown.number, shown.at_s
        if self._true is not None:
            self._true.frame(shown.number, shown.at_s, (shown.picture.width, shown.picture.height))
        if shown.frame is None:
            return
        self._waiting.append(_Shown(shown.number, shown.frame.info, shown.picture))
        if len(self._waiting) >= self._batch:
            self._infer()
        if len(self._batches) > self._most_batches:
            self._track(self._batches.popleft())

    def finish(self) -> None:
        """Let all objects end, as at the end of a file."""
        if self._waiting:
            self._infer()
        while self._batches:
            self._track(self._batches.popleft())
        for stage in self._stages.values():
            stage.forget(self._stream.id)
            stage(())

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        """See EventTaker."""
        for each in happenings:
            if isinstance(each, Event):
                self._events.append(each)
                self._say(each)

    def report(self, clip: str) -> RulesReport:
        """Return what happened in the clip."""
        true = None if self._true is None else self._true.events
        return RulesReport(
            stream=self._config.id,
            clip=clip,
            frames=self._frames,
            inferred=self._inferred,
            seconds=self._seconds,
            events=tuple(self._events),
            counts=count_rules(self._config, self._events, true),
            hota=None if self._truth is None else hota_by_label(self._truth, self._found),
            last_true_frame=max(self._truth, default=0) if self._truth is not None else 0,
        )

    def _infer(self) -> None:
        frames, self._waiting = self._waiting, []
        images, plan = [shown.picture for shown in frames], self._plan
        found = {key: each.detect(images, plan.wanted[key], plan.crop) for key, each in self._slots.items()}
        self._batches.append(_Batch(frames, found))

    def _track(self, batch: _Batch) -> None:
        self._inferred += len(batch.frames)
        found = {key: future.result() for key, future in batch.found.items()}
        for index, shown in enumerate(batch.frames):
            results = [self._tracked(key, shown.info, each[index]) for key, each in found.items()]
            for result in results:
                self.trails.note(shown.picture, result)
            if self._truth is not None:
                self._found += [_tracks(shown.number, result) for result in results]

    def _tracked(self, key: str, info: FrameInfo, detections: Detections) -> Result:
        result = Result(info, self._slots[key].model.info, detections, 0.0, 0.0)
        (delivery,) = self._stages[key]([Delivery(self._stream, result, self._plan.shown[key])])
        return delivery.result


def _tracks(number: int, result: Result) -> FoundFrame:
    found, labels = result.detections, result.model.labels
    assert found.track_id is not None  # noqa: S101 - the stage gives each detection one
    known = found.track_id != UNKNOWN
    names = tuple(labels[class_id] for class_id in found.class_id[known].tolist())
    return FoundFrame(number, found.track_id[known], found.xyxy[known], names)
