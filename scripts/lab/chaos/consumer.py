"""A subscriber with one session over all broker restarts, so that it misses nothing that was kept."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from framelane.measure.errors import BenchError
from lab.completeness import Roll

if TYPE_CHECKING:
    from paho.mqtt.client import ConnectFlags
    from paho.mqtt.reasoncodes import ReasonCode

_CONNECT_S = 10.0
_KEEPALIVE_S = 20
# Session Expiry Interval of MQTT 5.
_NEVER_EXPIRES = 0xFFFFFFFF
_MARKERS = "framelane-soak/marker"


class Consumer:
    """Records every detections message; `with Consumer(url, topic) as consumer:`.

    Attributes:
        roll: the arrived messages.
        forgotten: connections without the earlier session, whose queued messages are then lost.
        connections: number of connections.
    """

    def __init__(self, url: str, topic: str) -> None:
        self.roll = Roll()
        self.forgotten = 0
        self.connections = 0
        self._topics = [(each, SubscribeOptions(qos=1)) for each in (topic, _MARKERS)]
        self._subscribed = threading.Event()
        self._changed = threading.Condition()
        self._marker = 0
        self._markers = count(1)
        address = urlsplit(url)
        self._address = address.hostname or "127.0.0.1", address.port or 1883
        self._client = Client(CallbackAPIVersion.VERSION2, "framelane-soak-consumer", protocol=MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._came
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take

    def __enter__(self) -> Consumer:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _NEVER_EXPIRES
        self._client.connect(*self._address, _KEEPALIVE_S, clean_start=False, properties=properties)
        self._client.loop_start()
        if not self._subscribed.wait(_CONNECT_S):
            self.__exit__()
            raise BenchError(f"the consumer is not subscribed after {_CONNECT_S:g} s")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def in_step(self, timeout_s: float) -> bool:
        """Return whether everything acknowledged by the broker has arrived: a marker sent last arrives last."""
        marker = next(self._markers)
        if not self._client.is_connected():
            return False
        self._client.publish(_MARKERS, str(marker), qos=1)
        with self._changed:
            return self._changed.wait_for(lambda: self._marker >= marker, timeout_s)

    def _came(
        self, client: Client, _data: object, flags: ConnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            return
        self.forgotten += self.connections > 0 and not flags.session_present
        self.connections += 1
        if not flags.session_present:
            client.subscribe(self._topics)

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic == _MARKERS:
            with self._changed:
                self._marker = max(self._marker, int(message.payload))
                self._changed.notify_all()
            return
        self.roll.book(bytes(message.payload))
