"""The MQTT sink: a bounded outbox, and a courier that empties it to the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from framelane.core.backoff import Backoff
from framelane.sinks.backlog import MemoryBacklog
from framelane.sinks.broker import Broker
from framelane.sinks.courier import Courier, Route
from framelane.sinks.envelope import Envelopes
from framelane.sinks.link import Link, Will
from framelane.sinks.message import Origin
from framelane.sinks.outbox import Outbox
from framelane.sinks.reports import status_message
from framelane.sinks.sink import SinkHealth
from framelane.sinks.waker import Waker
from framelane.telemetry.states import NodeState

if TYPE_CHECKING:
    from framelane.config.schema import MqttConfig
    from framelane.core.clock import Clock
    from framelane.sinks.courier import Watch
    from framelane.sinks.link import Listener
    from framelane.sinks.message import Message

log = structlog.get_logger(__name__)

_FIRST_S = 1.0
_MOST_S = 30.0


def _unwatched(*, connected: bool, text: str) -> None:
    """Nobody wants to know."""


class MqttSink:
    """Delivers to one broker, for ever, and lets nothing that happens there reach the pipeline.

    Args:
        config: the `mqtt` section.
        node: this node's id.
        run: the id of this start.
        clock: for deadlines and time stamps.
        watch: told when the broker comes and goes, on the sink's thread.
        backoff: waits between connections.
        will: whether the broker says that the node is offline when this connection breaks.

    Raises:
        ConfigError: The URL can't be used, or a TLS file can't be read.
    """

    def __init__(
        self,
        config: MqttConfig,
        node: str,
        run: str,
        clock: Clock,
        *,
        watch: Watch = _unwatched,
        backoff: Backoff | None = None,
        will: bool = True,
    ) -> None:
        self._config = config
        self._origin = Origin(node, run)
        self._clock = clock
        self._has_will = will
        self._broker = Broker(config, node)
        self._envelopes = Envelopes(config, node)
        self._waker = Waker()
        self._outbox = Outbox(MemoryBacklog(config.queue), self._waker)
        self._left_behind = 0
        self._listener: Listener | None = None
        route = Route(self._dial, self._envelopes, backoff or Backoff(_FIRST_S, _MOST_S))
        self._courier = Courier(route, self._outbox, self._waker, clock, watch)

    @property
    def mqtt_connected(self) -> bool:
        """Whether the broker is there."""
        return self._courier.connected

    @property
    def mqtt_spool_messages(self) -> int:
        """Detections that wait for it, those it has not yet acknowledged included."""
        return len(self._outbox)

    @property
    def mqtt_spool_dropped_total(self) -> int:
        """Messages given up since the start: too many waited, the broker refused them, or we had to stop."""
        return self._outbox.dropped + self._courier.refused + self._left_behind

    def listen(self, listener: Listener) -> None:
        """Have somebody hear from the broker on each connection; before the start."""
        self._listener = listener

    def start(self) -> None:
        """Begin to connect and deliver."""
        self._courier.start()

    def offer(self, message: Message) -> None:
        """Take a message; when `queue` detections wait, the oldest of them goes."""
        self._outbox.put(message)

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        """Deliver what waits, then the farewell if any, within `drain_s`, and disconnect."""
        self._courier.finish(drain_s, farewell)
        self._left_behind = len(self._outbox)
        if self._left_behind:
            log.warning("mqtt_undelivered", messages=self._left_behind, error=self._courier.outage.text)
        if not self._courier.alive:  # it may never have been started
            self._waker.close()

    def health(self) -> SinkHealth:
        """How it fares now."""
        return SinkHealth(
            name="mqtt",
            connected=self.mqtt_connected,
            queued=self.mqtt_spool_messages,
            capacity=self._config.queue,
            delivered=self._courier.delivered,
            dropped=self.mqtt_spool_dropped_total,
            last_error=self._courier.outage.text,
        )

    def _dial(self) -> Link:
        will = self._will() if self._has_will else None
        return Link(self._broker, self._config, will, self._clock, self._waker, self._listener)

    def _will(self) -> Will:
        lost = NodeState("offline", "lost", "the daemon or its network went away", self._clock.wall())
        message = status_message(self._origin, lost)
        return Will(self._envelopes.of_will(message), message.payload)
