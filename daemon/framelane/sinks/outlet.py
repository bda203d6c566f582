"""The way out of the pipeline: numbers results, leaves out the unwanted, encodes once, offers to all."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from framelane.sinks.message import Origin, detections_message
from framelane.sinks.reports import (
    node_stats_message,
    removed_message,
    state_message,
    stats_message,
    status_message,
)
from framelane.sinks.selection import Selection
from framelane.telemetry.states import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.config.schema import PublishConfig
    from framelane.core.clock import Clock
    from framelane.core.frames import FrameInfo, Result
    from framelane.sinks.message import Encoding, Message
    from framelane.sinks.selection import LeftOut
    from framelane.sinks.sink import Sink, SinkHealth
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import NodeStats

_MOST_REMEMBERED = 10_000
_LATEST_LATENCY_S = 60.0  # beyond it a camera's clock is wrong rather than the path slow


class OutletMeter(Protocol):
    """Who counts what is published."""

    def result_published(self, stream: str, latency_s: float) -> None:
        """A result of this stream went to the sinks, that long after its capture."""
        ...

    def result_left_out(self, stream: str, reason: str) -> None:
        """A result of this stream is not published: `empty` or `rate`."""
        ...


class Outlet:
    """Where results, states and statistics leave the pipeline. Thread-safe; keeps each stream's order.

    Args:
        node: this node's id.
        run: the id of this start; `seq` begins anew with it.
        publish: which results of a stream, by its id, become messages.
        sinks: where messages go.
        meter: counts what is published.
        farewell: whether `stop` says that the node is offline; not where it goes on without this process.
        clock: for latency, heartbeats and time stamps.
        encoding: of detections.
    """

    def __init__(
        self,
        node: str,
        run: str,
        publish: Callable[[str], PublishConfig],
        sinks: Sequence[Sink],
        *,
        meter: OutletMeter,
        clock: Clock,
        encoding: Encoding = "json",
        farewell: bool = True,
    ) -> None:
        self._origin = Origin(node, run)
        self._publish = publish
        self._sinks = tuple(sinks)
        self._meter = meter
        self._clock = clock
        self._encoding = encoding
        self._lanes: dict[str, _Lane] = {}
        self._left: dict[str, int] = {}
        """The last `seq` of removed streams: it never begins anew within a run."""
        self._farewell: Message | None = None
        self._says_farewell = farewell

    def start(self) -> None:
        """Start the sinks."""
        for sink in self._sinks:
            sink.start()

    def stop(self, drain_s: float) -> None:
        """Let the sinks deliver what waits, within `drain_s` seconds for all together, and say goodbye."""
        deadline_s = self._clock.monotonic() + drain_s
        farewell = self._farewell or status_message(self._origin, self._stopped())
        last = farewell if self._says_farewell else None
        for sink in self._sinks:
            sink.stop(max(deadline_s - self._clock.monotonic(), 0.0), last)

    def health(self) -> tuple[SinkHealth, ...]:
        """How each sink fares."""
        return tuple(sink.health() for sink in self._sinks)

    def publish(self, result: Result) -> None:
        """Number a result and send it, unless `publish` leaves it out; in order for each stream."""
        latency_s = self._latency_s(result.frame)
        left_out = self._in_turn(result, latency_s)
        if left_out is None:
            self._meter.result_published(result.frame.stream, latency_s)
        else:
            self._meter.result_left_out(result.frame.stream, left_out)

    def publish_state(self, state: StreamState) -> None:
        """Send a stream's new state."""
        self._offer(state_message(self._origin, state))

    def publish_removed(self, stream: str) -> None:
        """Take a removed stream's retained state back."""
        self._offer(removed_message(stream))

    def forget(self, stream: str) -> None:
        """Let go of what is kept of a removed stream but its last number: if it returns, `seq` goes on from there."""
        lane = self._lanes.get(stream)
        if lane is None:
            return
        with lane.lock:
            lane.closed = True
            self._left.pop(stream, None)
            self._left[stream] = lane.seq
            if len(self._left) > _MOST_REMEMBERED:
                del self._left[next(iter(self._left))]
            del self._lanes[stream]

    def publish_status(self, state: NodeState) -> None:
        """Send the node's new status; `offline` is kept until `stop`, to come after the last results."""
        message = status_message(self._origin, state)
        if state.state == "offline":
            self._farewell = message
        else:
            self._offer(message)

    def publish_stats(self, stats: NodeStats) -> None:
        """Send the figures of a window: a message for each stream, and one for the node."""
        at = self._clock.wall()
        for stream in stats.streams:
            self._offer(stats_message(self._origin, stream, at))
        self._offer(node_stats_message(self._origin, stats, self.health(), at))

    def _in_turn(self, result: Result, latency_s: float) -> LeftOut | None:
        stream = result.frame.stream
        while True:
            lane = self._lanes.get(stream) or self._lanes.setdefault(stream, _Lane(self._left.get(stream, 0)))
            with lane.lock:
                if not lane.closed:  # by `forget`, since we looked it up: its numbers go on in the next
                    return self._send(result, lane, latency_s)

    def _send(self, result: Result, lane: _Lane, latency_s: float) -> LeftOut | None:
        """Offer a result to the sinks, in the lane's lock, or two models of a stream could overtake each other."""
        selection = lane.selection(result.model.name, self._publish(result.frame.stream))
        selection.saw(result.frame.index)
        left_out = selection.left_out(empty=not len(result.detections), now_s=self._clock.monotonic())
        if left_out is not None:
            return left_out
        message = detections_message(
            self._origin,
            result,
            seq=lane.seq + 1,
            dropped=selection.dropped,
            total_s=latency_s,
            encoding=self._encoding,
        )
        lane.seq += 1
        selection.dropped = 0
        self._offer(message)
        return None

    def _offer(self, message: Message) -> None:
        for sink in self._sinks:
            sink.offer(message)

    def _latency_s(self, frame: FrameInfo) -> float:
        """Seconds since capture where the clocks allow to tell, else since the frame was in hand."""
        in_hand_s = self._clock.monotonic() - frame.received_s
        if frame.clock == "media":
            return in_hand_s
        captured_s = self._clock.wall() - frame.captured_at
        return captured_s if in_hand_s <= captured_s <= _LATEST_LATENCY_S else in_hand_s

    def _stopped(self) -> NodeState:
        return NodeState("offline", "stopping", "the daemon stops", self._clock.wall())


class _Lane:
    """One stream's way out: its numbers, and a lock that keeps them in order."""

    __slots__ = ("_selections", "closed", "lock", "seq")

    def __init__(self, seq: int) -> None:
        self.lock = threading.Lock()
        self.seq = seq
        self.closed = False
        self._selections: dict[str, Selection] = {}

    def selection(self, model: str, publish: PublishConfig) -> Selection:
        selection = self._selections.get(model) or self._selections.setdefault(model, Selection(publish))
        if selection.publish is not publish:
            selection.follow(publish)
        return selection
