"""One connection to the broker over paho, from CONNECT to its end; used once, by one thread.

paho packs, parses and keeps alive (paho_client.py says which work it is spared). The waiting happens here,
for three reasons. `loop_start` waits with select(), which fails from descriptor 1024 on (500 cameras). It
wakes its thread for each message. And its queue has no bound while a broker stalls.

Each connection has a new client, so no state of the last one is left in paho. The send queue knows which
messages were not acknowledged and sends them again; therefore no session is resumed (docs/mqtt.md).
"""

from __future__ import annotations

import select
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from framelane.sinks.mqtt.errors import (
    BrokerError,
    cut_off,
    explained,
    lost,
    refused,
    unreachable,
    unreadable,
)
from framelane.sinks.mqtt.inflight import Sent, Settled
from framelane.sinks.mqtt.paho_client import Client
from framelane.sinks.mqtt.topic_aliases import TopicAliases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from framelane.config.sections.mqtt import MqttConfig
    from framelane.core.clock import Clock
    from framelane.messages.detections import Message
    from framelane.sinks.mqtt.broker import Broker
    from framelane.sinks.mqtt.inflight import Ask, How
    from framelane.sinks.mqtt.publish_headers import PublishHeader
    from framelane.sinks.mqtt.send_queue import QueuedMessage
    from framelane.sinks.mqtt.topic_aliases import AliasedTopic
    from framelane.sinks.mqtt.waker import Waker

_CONNECT_S = 5.0
_ACCEPT_S = 5.0
_HOUSEKEEPING_S = 1.0
# MQTT's own limit.
_MOST_PACKET = 268_435_455
# The newest messages with QoS 0 that may be the reason for a disconnect.
_UNANSWERED = 64
# paho's code for a closed socket.
_CLOSED = 128
# paho's code for a packet that it can't read.
_UNREADABLE = 130


class SubscriptionListener(Protocol):
    """Receives messages from the broker. Called on the sender's thread; must be quick and must not raise."""

    @property
    def topics(self) -> Sequence[str]:
        """The topic filters to subscribe to, with QoS 1, on each connection."""
        ...

    def heard(self, topic: str, payload: bytes) -> None:
        """Take a message."""
        ...

    def denied(self, topic: str, text: str) -> None:
        """Take the reason why the broker refuses one of the filters."""
        ...


class Will(NamedTuple):
    """The retained message that the broker publishes if this connection ends without a DISCONNECT."""

    header: PublishHeader
    payload: bytes


class BrokerConnection:
    """One connection to the broker."""

    def __init__(
        self,
        broker: Broker,
        config: MqttConfig,
        will: Will | None,
        ask: Ask,
        clock: Clock,
        waker: Waker,
        listener: SubscriptionListener | None = None,
    ) -> None:
        self.odd_code: int | None = None
        """An unknown reason code in an acknowledgment by the broker, if there was one."""
        self._broker = broker
        self._ask = ask
        self._clock = clock
        self._waker = waker
        self._listener = listener
        self._keepalive_s = config.keepalive_s
        self._mqtt5 = config.protocol == "5"
        self._window = config.inflight
        self._most_qos = ask.most_qos
        self._may_retain = ask.retain
        self._most_packet = _MOST_PACKET
        self._topics = TopicAliases(mqtt5=self._mqtt5)
        self._in_flight: dict[int, Sent] = {}
        self._unanswered: deque[Sent] = deque(maxlen=_UNANSWERED)
        self._settled: list[Settled] = []
        self._accepted = False
        self._ended: BrokerError | None = None
        self._socket_said = ""
        self._tidied_s = self._answered_s = self._accepted_s = clock.monotonic()
        self._client = self._made_client(will)

    @property
    def room(self) -> int:
        """How many messages may be published until another is settled."""
        return self._window - len(self._in_flight)

    @property
    def in_flight(self) -> int:
        """How many messages are published and not settled."""
        return len(self._in_flight)

    @property
    def unsettled(self) -> list[Sent]:
        """Messages that may have caused a disconnect, oldest first: unsettled, or recent with QoS 0."""
        return [*self._in_flight.values(), *self._unanswered]

    @property
    def age_s(self) -> float:
        """Seconds since the broker accepted the connection."""
        return self._clock.monotonic() - self._accepted_s

    @property
    def may_retain(self) -> bool:
        """Whether the broker keeps retained messages, as far as known."""
        return self._may_retain

    @property
    def most_qos(self) -> int:
        """The highest QoS that the broker accepts, as far as known."""
        return self._most_qos

    def open(self) -> None:
        """Connect and wait until the broker accepts.

        Raises:
            BrokerError: The broker can't be reached, or refuses the connection.
        """
        try:
            self._client.connect(self._broker.host, self._broker.port, self._keepalive_s)
        except OSError as error:
            raise unreachable(str(self._broker), error) from error
        deadline_s = self._clock.monotonic() + _ACCEPT_S
        while not self._accepted:
            left_s = deadline_s - self._clock.monotonic()
            if left_s <= 0:
                raise BrokerError(
                    "silent", f"{self._broker}: accepts connections and does not answer: is it MQTT?"
                )
            self._turn(left_s)
            self._raise_if_ended()
        self._client.on_log = None
        # Subscribe before publishing, so that retained messages from before come too.
        if self._listener is not None:
            self._client.subscribe([(topic, 1) for topic in self._listener.topics])
        self._answered_s = self._accepted_s = self._clock.monotonic()

    def packet_bytes(self, message: Message, header: PublishHeader) -> int:
        """Return how large a message's packet would be now."""
        return self._topics.of(header).packet_bytes(len(message.payload))

    def publish(self, queued: QueuedMessage, header: PublishHeader, how: How | None = None) -> Sent | None:
        """Hand a message to paho if there is room.

        A message too large for the broker is settled; return None then.

        Args:
            queued: the message.
            header: its header.
            how: QoS and retained flag, if they differ from the usual ones.
        """
        message = queued.message
        aliased = self._topics.known.get(header)
        if aliased is None:
            aliased = self._first_topic(header, len(message.payload))
        size = aliased.packet_bytes(len(message.payload))
        qos, retain = (header.qos, message.retain) if how is None else how
        qos = min(qos, self._most_qos)
        retain = retain and self._may_retain
        sent = Sent(queued, header.topic, size, qos, retain)
        if size > self._most_packet:
            text = f"its packet has {size} bytes, and the broker allows {self._most_packet}"
            self._settled.append(Settled(sent, text))
            return None
        if not self._in_flight:
            self._answered_s = self._clock.monotonic()
        mid = self._client.post(
            aliased.topic, message.payload, qos, retain=retain, properties=aliased.properties
        )
        self._in_flight[mid] = sent
        return sent

    def _first_topic(self, header: PublishHeader, payload: int) -> AliasedTopic:
        """Return the topic form for a header's first message, and remember it if the packet is allowed."""
        aliased = self._topics.of(header)
        if aliased.packet_bytes(payload) > self._most_packet:
            aliased = self._topics.without_alias(header)
        if aliased.packet_bytes(payload) <= self._most_packet:
            self._topics.used(header, aliased)
        return aliased

    def poll(self, timeout_s: float) -> list[Settled]:
        """Write, read and wait at most this long. Return what was settled in the meantime.

        Raises:
            BrokerError: The connection has ended, and everything settled before has been returned.
        """
        if self._ended is None:
            self._turn(timeout_s)
        if not self._settled:
            self._raise_if_ended()
        settled, self._settled = self._settled, []
        return settled

    def close(self, *, clean: bool) -> None:
        """End the connection.

        Unless `clean`, the broker publishes the Last Will. A repeated call does nothing.
        """
        if clean and self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()
        # The socket must close without a DISCONNECT, for which paho has no call.
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _made_client(self, will: Will | None) -> Client:
        broker = self._broker
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=mqtt.MQTTv5 if self._mqtt5 else mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        if will is not None:
            properties = will.header.properties if self._mqtt5 else None
            qos = min(will.header.qos, self._ask.most_qos)
            client.will_set(
                will.header.topic, will.payload, qos, retain=self._ask.retain, properties=properties
            )
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        context = broker.tls_context()
        if context is not None:
            client.tls_set_context(context)
            client.tls_insecure_set(not broker.verify)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.settle = self._on_settled
        client.odd = self._on_oddity
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_log = self._on_log
        # With it set, paho only queues in publish(), and one loop_write() sends everything.
        client.on_socket_register_write = _ignore
        return client

    def _turn(self, timeout_s: float) -> None:
        """Write what waits, wait for the socket or the waker, and read what has come."""
        client = self._client
        if client.want_write():
            client.loop_write()
        sock = client.socket()
        # The connection ended during the write.
        if sock is None:
            return
        # Bytes that TLS has read and paho has not taken; 0 without TLS.
        unread = getattr(sock, "pending", int)
        # QoS 0 is settled by writing alone.
        wait_s = 0.0 if self._settled or unread() else min(timeout_s, _HOUSEKEEPING_S)
        poller = select.poll()
        poller.register(sock.fileno(), select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        poller.register(self._waker.fileno(), select.POLLIN)
        for descriptor, event in poller.poll(wait_s * 1e3):
            if descriptor == self._waker.fileno():
                self._waker.drain()
            elif event & ~select.POLLOUT:
                client.loop_read()
        if client.socket() is sock and unread():
            client.loop_read()
        self._tidy()

    def _tidy(self) -> None:
        """Once per second, send pings and check that the broker acknowledges messages."""
        now_s = self._clock.monotonic()
        if now_s - self._tidied_s < _HOUSEKEEPING_S:
            return
        self._tidied_s = now_s
        self._client.loop_misc()
        if self._in_flight and self._ended is None and now_s - self._answered_s > 2 * self._keepalive_s:
            self._ended = BrokerError(
                "silent", f"{self._broker}: acknowledges no message: see the broker's log and disk"
            )

    def _raise_if_ended(self) -> None:
        if self._ended is not None:
            raise self._ended

    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: object,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._ended = refused(str(self._broker), int(code.value))
            return
        self._accepted = True
        self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))
        self._most_qos = min(self._most_qos, getattr(properties, "MaximumQoS", self._most_qos))
        self._may_retain &= bool(getattr(properties, "RetainAvailable", 1))
        self._most_packet = getattr(properties, "MaximumPacketSize", _MOST_PACKET)
        self._topics = TopicAliases(
            mqtt5=self._mqtt5, most_aliases=getattr(properties, "TopicAliasMaximum", 0)
        )

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _data: object,
        flags: mqtt.DisconnectFlags,
        code: ReasonCode,
        _properties: object,
    ) -> None:
        if self._ended is not None:
            return
        value, broker = int(code.value), str(self._broker)
        from_broker = flags.is_disconnect_packet_from_server
        if value == _UNREADABLE and not from_broker:
            self._ended = unreadable(broker, self._client.packet)
        elif value > _CLOSED or (value == _CLOSED and from_broker):
            self._ended = refused(broker, value)
        elif self._accepted:
            oldest = next((f"{sent.size} bytes on {sent.topic}" for sent in self.unsettled), None)
            self._ended = lost(broker, self._broker.client_id, self.age_s, oldest)
        else:
            detail, tls = self._socket_said, self._broker.tls
            self._ended = cut_off(broker, detail, tls=tls, mqtt5=self._mqtt5)

    def _on_oddity(self, code: int) -> None:
        self.odd_code = code

    def _on_settled(self, mid: int, refusal: int | None) -> None:
        self._answered_s = self._clock.monotonic()
        sent = self._in_flight.pop(mid)
        if not sent.qos:
            self._unanswered.append(sent)
        self._settled.append(Settled(sent, None if refusal is None else explained(refusal)[1]))

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if self._listener is not None:
            self._listener.heard(message.topic, bytes(message.payload))

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        if self._listener is not None:
            for topic, code in zip(self._listener.topics, codes, strict=False):
                if code.is_failure:
                    self._listener.denied(topic, explained(int(code.value))[1])

    def _on_log(self, _client: mqtt.Client, _data: object, level: int, text: str) -> None:
        if level == mqtt.MQTT_LOG_ERR:
            self._socket_said = text.rpartition("socket: ")[2]


def _ignore(*_arguments: object) -> None:
    """Do nothing: the next poll writes."""
