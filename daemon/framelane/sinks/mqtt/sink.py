"""The MQTT sink: a send queue, a thread that delivers it, and a spool for undelivered detections."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog

from framelane.core.backoff import Backoff
from framelane.core.drop_reasons import LOSSES
from framelane.messages.detections import Origin
from framelane.messages.event_queue import NoEvents
from framelane.messages.reports import last_will
from framelane.sinks.mqtt.broker import Broker
from framelane.sinks.mqtt.connection import BrokerConnection, Will
from framelane.sinks.mqtt.dispatch import Dispatch
from framelane.sinks.mqtt.id_conflict import ClientIdConflict
from framelane.sinks.mqtt.negotiation import Negotiation
from framelane.sinks.mqtt.publish_headers import PublishHeaders
from framelane.sinks.mqtt.send_queue import SendQueue
from framelane.sinks.mqtt.sender import Route, Sender
from framelane.sinks.mqtt.spool.backlog import Backlog
from framelane.sinks.mqtt.spool.location import place_of
from framelane.sinks.mqtt.spool.thread import Spool
from framelane.sinks.mqtt.waker import Waker
from framelane.telemetry.sink_health import SinkHealth

if TYPE_CHECKING:
    from framelane.config.sections.mqtt import MqttConfig
    from framelane.core.clock import Clock
    from framelane.messages.detections import Message
    from framelane.messages.event_queue import EventQueue
    from framelane.sinks.mqtt.connection import SubscriptionListener
    from framelane.sinks.mqtt.inflight import Ask
    from framelane.sinks.mqtt.sender import BrokerWatcher
    from framelane.sinks.mqtt.spool.location import SpoolLocation
    from framelane.sinks.mqtt.spool.thread import SpoolWatch
    from framelane.sinks.table import SinkContext

log = structlog.get_logger(__name__)

_FIRST_S = 1.0
_MOST_S = 30.0
# Share of the drain time, at most a second, kept for the spool to write the rest.
_KEEP_SHARE = 0.25
# A stop without any time to drain still gets this much.
_LEAST_KEEP_S = 0.5


def _ignore_broker(*, connected: bool, text: str) -> None:
    """Ignore changes of the broker."""


def _ignore_spool(_trouble: str | None, /) -> None:
    """Ignore changes of the spool."""


class MqttSink:
    """Delivers to one broker, and reconnects forever. No fault there reaches the pipeline.

    Args:
        config: the `mqtt` section.
        node: this node's id.
        run: the id of this start.
        clock: for deadlines and time stamps.
        watch: called when the broker comes or goes, on the sink's thread.
        backoff: waits between connections.
        will: whether the broker publishes that the node is offline when this connection breaks.
        place: where the spool is; None for none.
        watch_spool: called when waiting detections become safe or unsafe, on the spool's thread.
        events: where events wait for the broker; None for none.

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
        watch: BrokerWatcher = _ignore_broker,
        backoff: Backoff | None = None,
        will: bool = True,
        place: SpoolLocation | None = None,
        watch_spool: SpoolWatch = _ignore_spool,
        events: EventQueue | None = None,
    ) -> None:
        self._config = config
        self._origin = Origin(node, run)
        self._clock = clock
        self._broker = Broker(config, node)
        self._headers = PublishHeaders(config, node)
        self._waker = Waker()
        expiry_s = config.expiry_s if config.protocol == "5" else 0
        self._backlog = Backlog(config.queue, clock, expiry_s)
        queue = NoEvents() if events is None else events
        queue.arrived = self._waker.wake
        self._send_queue = SendQueue(self._backlog, queue, self._waker, clock)
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
        self._listener: SubscriptionListener | None = None
        id_conflict = ClientIdConflict(str(self._broker), self._broker.client_id, clock)
        negotiation = Negotiation(self._dial, clock, retain=config.retain, will=will)
        waits = backoff or Backoff(_FIRST_S, _MOST_S)
        route = Route(str(self._broker), negotiation, waits, id_conflict)
        self._dispatch = Dispatch(self._send_queue, self._headers, clock, retain=config.retain)
        self._sender = Sender(route, self._send_queue, self._dispatch, self._waker, clock, watch)

    def listen(self, listener: SubscriptionListener) -> None:
        """Subscribe a listener on each connection. Call it before the start."""
        self._listener = listener

    def start(self) -> None:
        """Start connecting and delivering."""
        if self._spool is not None:
            self._spool.start()
        self._sender.start()

    def offer(self, message: Message) -> None:
        """Take a message. If `queue` detections wait in memory, drop the oldest of them.

        Events come from where they wait for the broker instead.
        """
        if message.kind != "events":
            self._send_queue.put(message)

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        """Deliver what waits, then the farewell, within `drain_s`, and disconnect. The rest goes to disk."""
        keep_s = 0.0 if self._spool is None else min(1.0, drain_s * _KEEP_SHARE)
        self._sender.finish(drain_s - keep_s, farewell)
        if self._spool is not None and self._spool.alive:
            self._spool.stop(max(keep_s, _LEAST_KEEP_S))
        self._left_behind = self._backlog.in_memory()
        if self._backlog.on_disk():
            log.info("mqtt_spooled", messages=self._backlog.on_disk(), text="delivered after the next start")
        if self._left_behind:
            log.warning("mqtt_undelivered", messages=self._left_behind, error=self._sender.outage.text)
        # It may never have been started.
        if not self._sender.alive:
            self._waker.close()

    def health(self) -> SinkHealth:
        """Return the sink's current health."""
        more = {"refused": self._dispatch.rejections.count, "stopped": self._left_behind}
        # Every known reason is there, so that a counter exists before it counts.
        dropped: dict[str, int] = {**dict.fromkeys(LOSSES, 0), **self._backlog.dropped, **more}
        spool = None if self._spool is None else self._spool.health
        return SinkHealth(
            name="mqtt",
            connected=self._sender.connected,
            queued=len(self._backlog),
            delivered=self._dispatch.delivered,
            dropped=sum(dropped.values()),
            last_error=self._sender.outage.text,
            full=self._backlog.full or (spool is not None and spool.full),
            dropped_by=dropped,
            spool=spool,
            overdue_s=self._sender.overdue_s,
        )

    def _dial(self, ask: Ask) -> BrokerConnection:
        ask = ask._replace(retain=ask.retain and self._dispatch.retains)
        will = self._will() if ask.will else None
        return BrokerConnection(
            self._broker, self._config, will, ask, self._clock, self._waker, self._listener
        )

    def _will(self) -> Will:
        message = last_will(self._origin)
        return Will(self._headers.of_will(message), message.payload)


def make(config: MqttConfig, context: SinkContext) -> MqttSink:
    """See framelane.sinks.table."""
    return MqttSink(
        config,
        context.node,
        context.run,
        context.clock,
        watch=context.broker_changed,
        will=context.worker is None,
        place=place_of(config.spool, context.node, os.environ, worker=context.worker, workers=context.busy),
        watch_spool=context.spool_changed,
        events=context.events,
    )
