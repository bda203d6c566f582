"""A subscriber that collects messages, so that tests wait for what they expect instead of sleeping."""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.reasoncodes import ReasonCode
    from tests.neighbours.mosquitto import Certificates

MAX_MESSAGES = 100_000
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Received:
    """One message as it came."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties | None

    @property
    def json(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload)


@dataclass(frozen=True)
class Login:
    """How to get in."""

    username: str | None = None
    password: str | None = None
    certificates: Certificates | None = None


class Subscriber:
    """`with Subscriber(url, "framelane/#") as subscriber: subscriber.wait_for(lambda m: ...)`.

    Messages are kept, newest last, at most 100,000. Raises `AssertionError` where it cannot connect. With `session_s`
    the broker keeps its session for so long while either of them is away (MQTT 5).
    """

    def __init__(
        self,
        url: str,
        *topics: str,
        qos: int = 1,
        login: Login | None = None,
        protocol: MQTTProtocolVersion = mqtt.MQTTv5,
        client_id: str | None = None,
        session_s: int = 0,
    ) -> None:
        self._session_s = session_s
        self._topics = [(topic, qos) for topic in topics or ("#",)]
        self._changed = threading.Condition()
        self._messages: deque[Received] = deque(maxlen=MAX_MESSAGES)
        self._subscribed = False
        self._refusal: str | None = None
        self._address = urlsplit(url)
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id or f"test-{uuid.uuid4().hex[:12]}", protocol=protocol
        )
        self._set_login(login or Login())
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message

    def __enter__(self) -> Subscriber:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def messages(self) -> list[Received]:
        """What has come so far, oldest first."""
        with self._changed:
            return list(self._messages)

    def open(self) -> None:
        """Connect and wait until the broker has granted the subscriptions."""
        address = self._address.hostname or "127.0.0.1", self._address.port or 1883
        if self._session_s:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = self._session_s
            self.client.reconnect_delay_set(1, 1)
            self.client.connect(*address, clean_start=False, properties=properties)
        else:
            self.client.connect(*address)
        self.client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._subscribed or self._refusal, CONNECT_TIMEOUT_S)
        if not self._subscribed:
            self.close()
            raise AssertionError(f"the test's subscriber is not subscribed: {self._refusal or 'no answer'}")

    def close(self) -> None:
        """Disconnect; may be called twice."""
        self.client.disconnect()
        self.client.loop_stop()
        # Without this cycle paho's wake-up sockets are closed by its destructor, and not by the collector
        # in any order, with a ResourceWarning.
        self.client.on_connect = self.client.on_subscribe = self.client.on_message = None

    def clear(self) -> None:
        """Forget what has come."""
        with self._changed:
            self._messages.clear()

    def on_topic(self, topic: str) -> list[Received]:
        """The messages whose topic matches a filter (wildcards allowed)."""
        return [message for message in self.messages if mqtt.topic_matches_sub(topic, message.topic)]

    def wait_for(self, predicate: Callable[[Received], bool], timeout_s: float = 10.0) -> Received:
        """The first message, old or new, that satisfies `predicate`. Raises `AssertionError`."""
        return self.wait_for_count(1, timeout_s, predicate)[0]

    def wait_for_count(
        self, count: int, timeout_s: float = 10.0, predicate: Callable[[Received], bool] = lambda _: True
    ) -> list[Received]:
        """At least `count` messages that satisfy `predicate`, oldest first. Raises `AssertionError`."""
        found: list[Received] = []
        seen = 0

        def enough() -> bool:
            nonlocal seen
            new = list(islice(self._messages, seen, None))
            seen += len(new)
            found.extend(message for message in new if predicate(message))
            return len(found) >= count

        with self._changed:
            if not self._changed.wait_for(enough, timeout_s):
                topics = sorted({message.topic for message in self._messages})
                raise AssertionError(
                    f"{len(found)} of {count} expected messages after {timeout_s} s; topics seen: {topics}"
                )
        return found

    def _set_login(self, login: Login) -> None:
        if login.username is not None:
            self.client.username_pw_set(login.username, login.password)
        if login.certificates is not None:
            pems = login.certificates
            self.client.tls_set(str(pems.ca), str(pems.client_cert), str(pems.client_key))

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if not reason.is_failure:
            client.subscribe(self._topics)
            return
        with self._changed:
            self._refusal = str(reason)
            self._changed.notify_all()

    def _on_subscribe(self, *_: object) -> None:
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        properties = getattr(message, "properties", None)
        received = Received(message.topic, bytes(message.payload), message.qos, message.retain, properties)
        with self._changed:
            self._messages.append(received)
            self._changed.notify_all()
