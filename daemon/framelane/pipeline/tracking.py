"""The analysis stage of one model, between inference and delivery: tracks, rules and events."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from framelane.analytics.frame_clock import FrameClock
from framelane.analytics.observations import Observation
from framelane.analytics.rules.engine import RuleEngine
from framelane.analytics.rules.reporter import Moment
from framelane.analytics.tracker import Tracker
from framelane.footage.views import Album
from framelane.pipeline.second_models import SecondModels
from framelane.pipeline.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.core.clock import Clock
    from framelane.core.events import Event, Occupancy
    from framelane.core.frames import Detections, Picture
    from framelane.inference.job import Delivery
    from framelane.messages.detections import Origin
    from framelane.models.heads.class_filter import ClassFilter

_LOOK_S = 0.5
_GONE_S = 1.0
"""Seconds without a frame after which the tracks of a closed connection end; its last frames may still come."""


class EventTaker(Protocol):
    """Receives what happens to objects."""

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        """Take what happened, in order. Return at once and never raise; called from any thread."""
        ...


class TrackingStage:
    """Adds track ids to the results of streams with `track`, and turns what objects do into events.

    Used by the model's delivery thread alone, except `forget`.

    Args:
        model: the model's key.
        origin: the node and the run, for the ids of objects.
        events: receives events.
        clock: for connections that are over.
        album: keeps the best views of objects; None for one that nobody looks into.
    """

    def __init__(
        self, model: str, origin: Origin, events: EventTaker, clock: Clock, album: Album | None = None
    ) -> None:
        self._album = album or Album()
        self.seconds = SecondModels()
        """The models that look at this model's objects."""
        self._model = model
        self._origin = origin
        self._events = events
        self._clock = clock
        self._tracker = Tracker()
        self._rules = RuleEngine(self._tracker, model)
        self._followed: dict[str, _Followed] = {}
        self._gone: deque[str] = deque()
        self._looked_s = 0.0

    def forget(self, stream: str) -> None:
        """Forget a removed stream. Thread-safe."""
        self._gone.append(stream)

    def __call__(self, batch: Sequence[Delivery]) -> Sequence[Delivery]:
        """Return the deliveries of a batch, with track ids; in rounds with one frame per stream."""
        self._look()
        self.seconds.begin()
        done = list(batch)
        round_: dict[str, int] = {}
        for index, (destination, _, shown, _) in enumerate(batch):
            if shown is None:
                if isinstance(destination, Stream) and destination.id in self._followed:
                    self._drop(destination.id)
                continue
            stream = _stream_of(batch[index])
            if stream.left:
                done[index] = _reported(batch[index], _strong(batch[index]))
                continue
            if stream.id in round_:
                self._track(done, round_)
                round_ = {}
            round_[stream.id] = index
        if round_:
            self._track(done, round_)
        self.seconds.end()
        self._hand_over()
        return done

    def _track(self, done: list[Delivery], round_: dict[str, int]) -> None:
        """Track one frame of each of several streams, given by the places of their deliveries."""
        observations, masks, times = [], [], []
        for name, index in round_.items():
            delivery = done[index]
            at_s = self._follow(name, delivery)
            strong = _strong(delivery)
            times.append(at_s)
            masks.append(strong)
            found = delivery.result.detections
            observations.append(
                Observation(name, at_s, found.xyxy, found.confidence, found.class_id, ~strong)
            )
        tracked = self._tracker.update(observations)
        for name, at_s in zip(round_, times, strict=True):
            self._rules.learned(name, self.seconds.news(name, at_s))
        inside = self._rules.update(tracked)
        for number, (index, strong, ids) in enumerate(zip(round_.values(), masks, tracked.ids, strict=True)):
            delivery = done[index]
            found = replace(delivery.result.detections, track_id=ids)
            if inside:
                found = _with_zones(found, number, inside)
            tracked_result = replace(delivery.result, detections=found)
            done[index] = _reported(delivery._replace(result=tracked_result, picture=None), strong)
            if delivery.picture is not None:
                self._remember(done[index], delivery.picture)
            stream = _stream_of(delivery)
            done[index] = self.seconds.saw(stream, times[number], done[index], delivery.picture)
        for name in round_:
            self._count(self._followed[name].stream)

    def _remember(self, delivery: Delivery, picture: Picture) -> None:
        """Keep the best views of objects, for snapshots."""
        stream, result = _stream_of(delivery), delivery.result
        if stream.plan.snapshots is not None:
            self._album.saw(result.frame, result.detections, picture, stream.plan.snapshots)
        else:
            self._album.forget(stream.id)

    def _follow(self, name: str, delivery: Delivery) -> float:
        """Switch to a frame's connection, thresholds and rules; return the frame's time."""
        stream, frame = _stream_of(delivery), delivery.result.frame
        followed = self._followed.get(name)
        if followed is None or followed.stream is not stream:
            followed = self._followed[name] = _Followed(stream)
        at_s = followed.clock.at(frame)
        followed.seen_s = self._clock.monotonic()
        epoch = stream.connection, delivery.shown, frame.width, frame.height
        fresh = followed.epoch != epoch
        if fresh:
            followed.epoch = epoch
            self._rules.end(name, "stream")
        rules = stream.plan.rules.get(self._model)
        if rules is None:
            self._rules.leave(name)
            return at_s
        moment = Moment(
            name,
            self._origin.run,
            followed.prefix(self._origin, rules.space),
            at_s,
            frame.captured_at - at_s,
            frame.clock,
            frame.width,
            frame.height,
        )
        self._rules.follow(name, rules, moment)
        if fresh:
            self._rules.recount(name)
        return at_s

    def _look(self) -> None:
        """End the tracks of streams that are gone, and of connections that are over."""
        while self._gone:
            self._drop(self._gone.popleft())
        now_s = self._clock.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        for name, followed in self._followed.items():
            if followed.epoch and not followed.stream.connected and now_s - followed.seen_s >= _GONE_S:
                followed.epoch = None
                self._rules.end(name, "stream")
                self._count(followed.stream)
        self._hand_over()

    def _drop(self, name: str) -> None:
        """Forget a stream that is gone or is not tracked any more."""
        self._rules.remove(name, "stream")
        self._hand_over()
        self._album.forget(name)
        self.seconds.forget(name)
        followed = self._followed.pop(name, None)
        if followed is not None:
            self._count(followed.stream)

    def _count(self, stream: Stream) -> None:
        tracker = self._tracker
        stream.meter.tracks_seen(self._model, tracker.tracks(stream.id), tracker.capped(stream.id))

    def _hand_over(self) -> None:
        happenings = self._rules.taken()
        if happenings:
            self._events.take(self.seconds.described(happenings))


class _Followed:
    """The stage's state of one stream."""

    __slots__ = ("_prefix", "_space", "clock", "epoch", "seen_s", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.clock = FrameClock()
        # What its tracks belong to: connection, thresholds and size. Tracks end if one of them changes.
        self.epoch: tuple[int, ClassFilter | None, int, int] | None = None
        self.seen_s = 0.0
        self._space: str | None = None
        self._prefix = ""

    def prefix(self, origin: Origin, space: str) -> str:
        """Return what the ids of the stream's objects begin with."""
        if space != self._space:
            self._space = space
            self._prefix = "/".join(filter(None, (origin.node, self.stream.id, origin.run, space)))
        return self._prefix


def _stream_of(delivery: Delivery) -> Stream:
    """Return where a tracked frame's result goes."""
    assert isinstance(delivery.destination, Stream)  # noqa: S101 - uploaded images are not tracked
    return delivery.destination


def _with_zones(found: Detections, number: int, inside: dict[tuple[int, int], tuple[str, ...]]) -> Detections:
    """Return the detections of an observation with the names of their zones."""
    zones = np.empty(len(found), np.object_)
    for index in range(len(found)):
        zones[index] = inside.get((number, index), ())
    return replace(found, zones=zones) if any(zones) else found


def _strong(delivery: Delivery) -> NDArray[np.bool_]:
    """Return which detections are reported; the others only help the tracker."""
    assert delivery.shown is not None  # noqa: S101 - the callers have looked
    found = delivery.result.detections
    strong: NDArray[np.bool_] = found.confidence >= delivery.shown.thresholds[found.class_id]
    return strong


def _reported(delivery: Delivery, strong: NDArray[np.bool_]) -> Delivery:
    """Return the delivery without the detections that are not reported."""
    if strong.all():
        return delivery
    result = delivery.result
    return delivery._replace(result=replace(result, detections=result.detections.select(strong)))
