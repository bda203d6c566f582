"""One connection to the broker over paho, from CONNECT to its end; used once, by one thread.

paho packs, parses and keeps alive (client.py says what it is spared); the waiting is done here, for three reasons:
`loop_start` waits with select(), which fails from descriptor 1024 on (500 cameras); it wakes its thread for each
message; and its queue has no bound while a broker stalls. A new client for each connection leaves nothing of the
last one in paho: the outbox knows what was not acknowledged and sends it again, which is why no session is resumed
(docs/mqtt.md).
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, NamedTuple, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from framelane.sinks.client import Client
from framelane.sinks.faults import LinkError, cut_off, explained, lost, refused, unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from framelane.config.schema import MqttConfig
    from framelane.core.clock import Clock
    from framelane.sinks.broker import Broker
    from framelane.sinks.envelope import Envelope
    from framelane.sinks.outbox import Parcel
    from framelane.sinks.waker import Waker

_CONNECT_S = 5.0
_ACCEPT_S = 5.0
_HOUSEKEEPING_S = 1.0
_MOST_PACKET = 268_435_455  # MQTT's own limit
# More than a PUBLISH's header, topic and properties take, where the broker limits whole packets.
_HEADERS = 512
_MOST_ADDRESSES = 4096  # made again when needed
_CLOSED = 128  # what paho makes of a socket that was closed; the broker's own reasons are above


class Listener(Protocol):
    """Who wants to hear from the broker; called on the link's thread, must be quick and must not raise."""

    @property
    def topics(self) -> Sequence[str]:
        """The filters to subscribe to, with QoS 1, on each connection."""
        ...

    def heard(self, topic: str, payload: bytes) -> None:
        """A message has come."""
        ...

    def denied(self, topic: str, text: str) -> None:
        """The broker does not grant one of the filters, and why."""
        ...


class Will(NamedTuple):
    """What the broker publishes, retained, when this connection ends without a goodbye."""

    envelope: Envelope
    payload: bytes


class Address(NamedTuple):
    """A topic and its properties as they go out."""

    topic: bytes
    properties: Properties | None


class Settled(NamedTuple):
    """A parcel that the broker has answered for; `refusal` says why it did not take it, None if it did."""

    parcel: Parcel
    refusal: str | None


class Link:
    """One connection."""

    def __init__(
        self,
        broker: Broker,
        config: MqttConfig,
        will: Will | None,
        clock: Clock,
        waker: Waker,
        listener: Listener | None = None,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._waker = waker
        self._listener = listener
        self._keepalive_s = config.keepalive_s
        self._mqtt5 = config.protocol == "5"
        self._window = config.inflight
        self._most_qos = 2
        self._most_payload = _MOST_PACKET - _HEADERS
        self._may_retain = True
        self._most_aliases = 0
        self._aliases: dict[str, int] = {}
        self._addresses: dict[Envelope, Address] = {}
        self._in_flight: dict[int, Parcel] = {}
        self._settled: list[Settled] = []
        self._accepted = False
        self._ended: LinkError | None = None
        self._socket_said = ""
        self._tidied_s = self._answered_s = self._accepted_s = clock.monotonic()
        self._client = self._made_client(will)

    @property
    def room(self) -> int:
        """Messages that may be published before one is settled."""
        return self._window - len(self._in_flight)

    @property
    def in_flight(self) -> int:
        """Messages published and not settled."""
        return len(self._in_flight)

    @property
    def unsettled(self) -> list[Parcel]:
        """What was published and is not settled, oldest first."""
        return list(self._in_flight.values())

    def open(self) -> None:
        """Connect and wait until the broker accepts.

        Raises:
            LinkError: It does not.
        """
        try:
            self._client.connect(self._broker.host, self._broker.port, self._keepalive_s)
        except OSError as error:
            raise unreachable(str(self._broker), error) from error
        deadline_s = self._clock.monotonic() + _ACCEPT_S
        while not self._accepted:
            left_s = deadline_s - self._clock.monotonic()
            if left_s <= 0:
                raise LinkError(
                    "silent", f"{self._broker}: accepts connections and does not answer: is it MQTT?"
                )
            self._turn(left_s)
            self._raise_if_ended()
        self._client.on_log = None
        if self._listener is not None:  # before we publish: what was retained until now comes too
            self._client.subscribe([(topic, 1) for topic in self._listener.topics])
        self._answered_s = self._accepted_s = self._clock.monotonic()

    def publish(self, parcel: Parcel, envelope: Envelope) -> None:
        """Hand a message to paho; call only while there is room."""
        message = parcel.message
        if len(message.payload) > self._most_payload:
            self._settled.append(
                Settled(parcel, f"it is larger than the broker allows ({self._most_payload} bytes)")
            )
            return
        if not self._in_flight:
            self._answered_s = self._clock.monotonic()
        address = self._addresses.get(envelope) or self._first_address(envelope)
        mid = self._client.post(
            address.topic,
            message.payload,
            min(envelope.qos, self._most_qos),
            retain=message.retain and self._may_retain,
            properties=address.properties,
        )
        self._in_flight[mid] = parcel

    def poll(self, timeout_s: float) -> list[Settled]:
        """Write, read and wait at most this long; what was settled meanwhile.

        Raises:
            LinkError: The connection has ended, and all that was settled before has been returned.
        """
        if self._ended is None:
            self._turn(timeout_s)
        if not self._settled:
            self._raise_if_ended()
        settled, self._settled = self._settled, []
        return settled

    def close(self, *, clean: bool) -> None:
        """End the connection; unless `clean`, the broker publishes the Last Will. May be called twice."""
        if clean and self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()
        # What is left of the socket must go without a DISCONNECT, for which paho has no call.
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _first_address(self, envelope: Envelope) -> Address:
        """The address of the first message in an envelope; from the second on it may be shorter.

        A topic with many messages gets an alias as long as the broker has any left; the first message
        to come, on this connection, tells it which number stands for which topic.
        """
        topic = envelope.topic.encode()
        alias = self._aliases.get(envelope.topic)
        if alias is not None:
            topic = b""
        elif envelope.frequent and len(self._aliases) < self._most_aliases:
            alias = self._aliases[envelope.topic] = len(self._aliases) + 1
        if alias is None:
            address = later = Address(topic, envelope.properties if self._mqtt5 else None)
        else:
            address = Address(topic, envelope.properties.with_alias(alias))
            later = address._replace(topic=b"")
        if len(self._addresses) >= _MOST_ADDRESSES:
            self._addresses.clear()
        self._addresses[envelope] = later
        return address

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
            properties = will.envelope.properties if self._mqtt5 else None
            client.will_set(
                will.envelope.topic, will.payload, will.envelope.qos, retain=True, properties=properties
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
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_log = self._on_log
        # With it set paho only queues in publish(), and one loop_write() sends them all.
        client.on_socket_register_write = _ignore
        return client

    def _turn(self, timeout_s: float) -> None:
        """Write what waits, wait for the socket or the waker, read what came."""
        client = self._client
        if client.want_write():
            client.loop_write()
        sock = client.socket()
        if sock is None:  # ended while writing
            return
        unread = getattr(sock, "pending", int)  # what TLS has read and nobody took; 0 without TLS
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
        """Once a second: pings, and whether the broker acknowledges at all."""
        now_s = self._clock.monotonic()
        if now_s - self._tidied_s < _HOUSEKEEPING_S:
            return
        self._tidied_s = now_s
        self._client.loop_misc()
        if self._in_flight and self._ended is None and now_s - self._answered_s > 2 * self._keepalive_s:
            self._ended = LinkError(
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
            self._ended = refused(str(self._broker), code)
            return
        self._accepted = True
        self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))
        self._most_qos = getattr(properties, "MaximumQoS", self._most_qos)
        self._may_retain = bool(getattr(properties, "RetainAvailable", 1))
        self._most_payload = getattr(properties, "MaximumPacketSize", _MOST_PACKET) - _HEADERS
        self._most_aliases = getattr(properties, "TopicAliasMaximum", 0)

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        if self._ended is not None:
            return
        if int(code.value) > _CLOSED:
            self._ended = refused(str(self._broker), code)
        elif self._accepted:
            lived_s = self._clock.monotonic() - self._accepted_s
            self._ended = lost(str(self._broker), self._broker.client_id, lived_s)
        else:
            self._ended = cut_off(str(self._broker), self._socket_said, tls=self._broker.tls)

    def _on_settled(self, mid: int, refusal: ReasonCode | None) -> None:
        self._answered_s = self._clock.monotonic()
        self._settled.append(Settled(self._in_flight.pop(mid), explained(refusal)[1] if refusal else None))

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if self._listener is not None:
            self._listener.heard(message.topic, bytes(message.payload))

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        if self._listener is not None:
            for topic, code in zip(self._listener.topics, codes, strict=False):
                if code.is_failure:
                    self._listener.denied(topic, explained(code)[1])

    def _on_log(self, _client: mqtt.Client, _data: object, level: int, text: str) -> None:
        if level == mqtt.MQTT_LOG_ERR:
            self._socket_said = text.rpartition("socket: ")[2]


def _ignore(*_arguments: object) -> None:
    """The write is made at the next turn."""
