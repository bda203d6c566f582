"""The parts of a worker process: a pipeline, its own sinks, and housekeeping."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from framelane.core.clock import SystemClock
from framelane.core.log_tail import TAIL
from framelane.fleet.media_link import MediaLink
from framelane.fleet.protocol import Snapshot
from framelane.pipeline.local import LocalPipeline
from framelane.sinks.publisher import Publisher
from framelane.sinks.table import SinkContext, make_sinks
from framelane.telemetry.housekeeping import Housekeeping, Task
from framelane.telemetry.node_health import NodeHealth
from framelane.telemetry.stats import sample_process
from framelane.telemetry.status import TICK_S, StatusBoard

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from framelane.config.sections.schema import Config
    from framelane.pipeline.tracking import EventTaker
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.states import NodeState, StreamState


class WorkerParts:
    """The parts of one worker process. It publishes its own results; its parent publishes the node's status.

    Args:
        config: its share of the configuration.
        name: the worker's name, also used for its spool.
        stream_changed: called with each new state of a stream.
        events: takes what happens to tracked objects.
        media: the socket on which the parent watches streams.
    """

    def __init__(
        self,
        config: Config,
        name: str,
        stream_changed: Callable[[StreamState], None],
        events: EventTaker,
        media: socket.socket,
    ) -> None:
        self.run = secrets.token_hex(4)
        self._clock = SystemClock()
        self._started = False
        context = SinkContext(config.node.id, self.run, self._clock, worker=name, shared=True)
        sinks = make_sinks(config, context)
        self._mqtt = sinks.get("mqtt")
        encoding = config.mqtt.payload if config.mqtt else "json"
        self._publisher = Publisher(
            config.node.id, self.run, [*sinks.values()], self._clock, encoding, farewell=False
        )
        self._board = StatusBoard(self._clock, stream_changed, _ignored, complete=False)
        self.pipeline = LocalPipeline(config, self._board, self._publisher, self._clock, events, partial=True)
        self._media = MediaLink(media, self.pipeline.live, self._clock)
        self._housekeeping = Housekeeping(
            [
                Task("stalls", TICK_S, self._board.tick),
                Task("pipeline", TICK_S, self.pipeline.look),
                Task("heap", config.node.stats_s, self.pipeline.trim_heap),
            ],
            self._clock,
        )
        self._health = NodeHealth(
            config.http.ready, self.pipeline, self._housekeeping, self._board.streams, self._brokers
        )

    def start(self) -> None:
        """Start all parts without waiting for cameras; raise FramelaneError if one can't start."""
        self.pipeline.load()
        self._publisher.start()
        self._housekeeping.start()
        self.pipeline.start()
        self._media.start()
        self._board.completed()
        self._started = True

    def stop(self, timeout_s: float) -> None:
        """Stop reading and publish what has been read, within `timeout_s` seconds."""
        deadline_s = self._clock.monotonic() + timeout_s
        self._media.stop(0.0)
        self.pipeline.stop(timeout_s)
        self._housekeeping.stop(1.0)
        self._publisher.stop(max(deadline_s - self._clock.monotonic(), 0.0))

    def snapshot(self) -> Snapshot:
        """Return the worker's figures for its parent."""
        seen = {state.stream: state.last_frame_s for state in self._board.streams()}
        # After a fatal error the process ends by itself and says why.
        judged = self._started and self.pipeline.fatal is None
        return Snapshot(
            counts=self.pipeline.meters.snapshot(),
            last_frames={stream: at_s for stream, at_s in seen.items() if at_s is not None},
            sinks=self._publisher.health(),
            liveness_reasons=self._health.liveness().reasons if judged else (),
            used=sample_process(),
            log=TAIL.fresh(),
        )

    def _brokers(self) -> list[SinkHealth]:
        return [] if self._mqtt is None else [self._mqtt.health()]


def _ignored(_state: NodeState) -> None:
    """Ignore the node's state, which the parent derives."""
