"""Sends messages to the sinks: results as their streams number them, states, statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.messages.detections import Origin
from framelane.messages.reports import (
    node_stats_message,
    removed_message,
    state_message,
    stats_message,
    status_message,
)
from framelane.sinks.stream_output import StreamOutput
from framelane.telemetry.states import NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from framelane.config.sections.publish import PublishConfig
    from framelane.core.clock import Clock
    from framelane.messages.detections import Encoding, Message
    from framelane.sinks.sink import Sink
    from framelane.telemetry.meters import StreamMeter
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import NodeStats

_MOST_REMEMBERED = 10_000


class Publisher:
    """Where results, states and statistics leave the pipeline. Thread-safe; keeps each stream's order.

    Args:
        node: this node's id.
        run: the id of this start; `seq` starts at 1 with it.
        sinks: where messages go.
        clock: for latency, heartbeats and time stamps.
        encoding: of detections.
        farewell: whether `stop` publishes `offline`; a worker process ends without it.
    """

    def __init__(
        self,
        node: str,
        run: str,
        sinks: Sequence[Sink],
        clock: Clock,
        encoding: Encoding = "json",
        *,
        farewell: bool = True,
    ) -> None:
        self.origin = Origin(node, run)
        self.clock = clock
        self.encoding: Encoding = encoding
        self._sinks = tuple(sinks)
        # The last `seq` of streams that left: within a run it never starts again.
        self._left: dict[str, int] = {}
        self._farewell: Message | None = None
        self._says_farewell = farewell

    def start(self) -> None:
        """Start the sinks."""
        for sink in self._sinks:
            sink.start()

    def stop(self, drain_s: float) -> None:
        """Let the sinks deliver what waits, within `drain_s` seconds for all together, then publish `offline`."""
        deadline_s = self.clock.monotonic() + drain_s
        farewell = self._farewell or status_message(self.origin, self._stopped())
        last = farewell if self._says_farewell else None
        for sink in self._sinks:
            sink.stop(max(deadline_s - self.clock.monotonic(), 0.0), last)

    def health(self) -> tuple[SinkHealth, ...]:
        """How each sink fares."""
        return tuple(sink.health() for sink in self._sinks)

    def open(self, stream: str, publish: PublishConfig, meter: StreamMeter) -> StreamOutput:
        """Return the output of a stream; if the stream was here before in this run, `seq` goes on from there."""
        return StreamOutput(self, publish, meter, self._left.pop(stream, 0))

    def close(self, stream: str, output: StreamOutput) -> None:
        """Publish nothing more of a stream, and remember its last number."""
        self._left[stream] = output.close()
        if len(self._left) > _MOST_REMEMBERED:
            del self._left[next(iter(self._left))]

    def publish_state(self, state: StreamState) -> None:
        """Send a stream's new state."""
        self.offer(state_message(self.origin, state))

    def publish_removed(self, stream: str) -> None:
        """Clear the retained state of a removed stream."""
        self.offer(removed_message(stream))

    def publish_status(self, state: NodeState) -> None:
        """Send the node's new status; `offline` is kept until `stop`, to come after the last results."""
        message = status_message(self.origin, state)
        if state.state == "offline":
            self._farewell = message
        else:
            self.offer(message)

    def publish_stats(self, stats: NodeStats, more: Iterable[SinkHealth] = ()) -> None:
        """Send the figures of a window: a message per stream, and one for the node.

        Args:
            stats: the window.
            more: what is reported like the sinks.
        """
        at = self.clock.wall()
        for stream in stats.streams:
            self.offer(stats_message(self.origin, stream, at))
        self.offer(node_stats_message(self.origin, stats, [*self.health(), *more], at))

    def offer(self, message: Message) -> None:
        """Hand a message to every sink; returns at once."""
        for sink in self._sinks:
            sink.offer(message)

    def _stopped(self) -> NodeState:
        return NodeState("offline", "stopping", "the daemon stops", self.clock.wall())
