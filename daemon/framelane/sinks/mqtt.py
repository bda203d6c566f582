"""The MQTT sink: an outbox, a courier that empties it to the broker, and a spool for what the broker does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from framelane.core.backoff import Backoff
from framelane.sinks.backlog import Backlog
from framelane.sinks.broker import Broker
from framelane.sinks.courier import Courier, Route
from framelane.sinks.envelope import Envelopes
from framelane.sinks.link import Link, Will
from framelane.sinks.message import Origin
from framelane.sinks.outbox import Outbox
from framelane.sinks.reports import status_message
from framelane.sinks.rivalry import Rivalry
from framelane.sinks.sink import SinkHealth
from framelane.sinks.spool import Spool
from framelane.sinks.waker import Waker
from framelane.telemetry.states import NodeState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.config.schema import MqttConfig
    from framelane.core.clock import Clock
    from framelane.sinks.courier import Watch
    from framelane.sinks.link import Listener
    from framelane.sinks.message import Message
    from framelane.sinks.sink import SpoolHealth
    from framelane.sinks.spool import SpoolWatch
    from framelane.sinks.spool_place import SpoolPlace

log = structlog.get_logger(__name__)

_FIRST_S = 1.0
_MOST_S = 30.0
_KEEP_SHARE = 0.25  # of the time to drain, at most a second, for the spool to write what is left
_LEAST_KEEP_S = 0.5  # even a stop without any time to drain gets this much
_REASONS = ("queue", "size", "age", "expired", "corrupt", "refused", "stopped")
"""Why messages are given up: memory full, disk full, too old twice, disk damaged, the broker's no, our end."""


def _unwatched(*, connected: bool, text: str) -> None:
    """Nobody wants to know."""


def _unwatched_spool(_trouble: str | None, /) -> None:
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
        place: where the spool is; None for none.
        watch_spool: told whether detections that wait are safe, on the spool's thread.

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
        place: SpoolPlace | None = None,
        watch_spool: SpoolWatch = _unwatched_spool,
    ) -> None:
        self._config = config
        self._origin = Origin(node, run)
        self._clock = clock
        self._has_will = will
        self._broker = Broker(config, node)
        self._envelopes = Envelopes(config, node)
        self._waker = Waker()
        expiry_s = config.expiry_s if config.protocol == "5" else 0
        self._backlog = Backlog(config.queue, clock, expiry_s)
        self._outbox = Outbox(self._backlog, self._waker, clock)
        self._spool: Spool | None = None
        if place is not None:
            self._spool = Spool(
                config.spool,
                place,
                self._backlog,
                self._waker.wake,
                clock,
                expiry_s=expiry_s,
                watch=watch_spool,
            )
        self._left_behind = 0
        self._listener: Listener | None = None
        rivalry = Rivalry(str(self._broker), self._broker.client_id, clock)
        route = Route(self._dial, self._envelopes, backoff or Backoff(_FIRST_S, _MOST_S), rivalry)
        self._courier = Courier(route, self._outbox, self._waker, clock, watch)

    @property
    def mqtt_connected(self) -> bool:
        """Whether the broker is there."""
        return self._courier.connected

    @property
    def mqtt_spool_messages(self) -> int:
        """Detections that wait for it, those it has not yet acknowledged included."""
        return len(self._backlog)

    @property
    def mqtt_spool_dropped(self) -> Mapping[str, int]:
        """Messages given up since the start, by reason; every known reason is there."""
        more = {"refused": self._courier.refused, "stopped": self._left_behind}
        return {**dict.fromkeys(_REASONS, 0), **self._backlog.dropped, **more}

    @property
    def mqtt_spool(self) -> SpoolHealth | None:
        """How the spool fares, None where there is none."""
        return None if self._spool is None else self._spool.health

    def listen(self, listener: Listener) -> None:
        """Have somebody hear from the broker on each connection; before the start."""
        self._listener = listener

    def start(self) -> None:
        """Begin to connect and deliver."""
        if self._spool is not None:
            self._spool.start()
        self._courier.start()

    def offer(self, message: Message) -> None:
        """Take a message; when `queue` detections wait in memory, the oldest of them goes."""
        self._outbox.put(message)

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        """Deliver what waits, then the farewell if any, within `drain_s`, and disconnect; the rest goes to disk."""
        keep_s = 0.0 if self._spool is None else min(1.0, drain_s * _KEEP_SHARE)
        self._courier.finish(drain_s - keep_s, farewell)
        if self._spool is not None and self._spool.alive:
            self._spool.stop(max(keep_s, _LEAST_KEEP_S))
        self._left_behind = self._backlog.in_memory()
        if self._backlog.on_disk():
            log.info("mqtt_spooled", messages=self._backlog.on_disk(), text="delivered after the next start")
        if self._left_behind:
            log.warning("mqtt_undelivered", messages=self._left_behind, error=self._courier.outage.text)
        if not self._courier.alive:  # it may never have been started
            self._waker.close()

    def health(self) -> SinkHealth:
        """How it fares now."""
        dropped, spool = self.mqtt_spool_dropped, self.mqtt_spool
        return SinkHealth(
            name="mqtt",
            connected=self.mqtt_connected,
            queued=self.mqtt_spool_messages,
            delivered=self._courier.delivered,
            dropped=sum(dropped.values()),
            last_error=self._courier.outage.text,
            full=self._backlog.full or (spool is not None and spool.full),
            dropped_by=dropped,
            spool=spool,
            overdue_s=self._courier.overdue_s,
        )

    def _dial(self) -> Link:
        will = self._will() if self._has_will else None
        return Link(self._broker, self._config, will, self._clock, self._waker, self._listener)

    def _will(self) -> Will:
        lost = NodeState("offline", "lost", "the daemon or its network went away", self._clock.wall())
        message = status_message(self._origin, lost)
        return Will(self._envelopes.of_will(message), message.payload)
