"""Subscribes to the demo's own broker like any consumer, and keeps the last message of each stream."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


@dataclass
class Watched:
    """What was received from one stream.

    Attributes:
        messages: detections messages received.
        missing: messages that are missing according to `seq`.
        labels: objects received, by label.
        last: the newest message.
    """

    messages: int = 0
    missing: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    last: dict[str, Any] | None = None

    def take(self, message: dict[str, Any]) -> None:
        """Count a message."""
        if self.last is not None and self.last["run"] == message["run"]:
            self.missing += message["seq"] - self.last["seq"] - 1
        self.messages += 1
        self.labels.update(found["label"] for found in message["detections"])
        self.last = message

    def summary(self) -> str:
        """Return the newest message's objects in a few words, such as `2 person, 1 car`."""
        if self.last is None:
            return ""
        found = Counter(found["label"] for found in self.last["detections"])
        return ", ".join(f"{count} {label}" for label, count in found.most_common()) or "-"


class Watcher:
    """A subscriber on its own thread."""

    def __init__(self, port: int, topic: str) -> None:
        self._address = "127.0.0.1", port
        self._topic = topic
        self._lock = threading.Lock()
        self._streams: dict[str, Watched] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_message = self._received

    def start(self) -> None:
        """Connect and subscribe."""
        self._client.connect(*self._address)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def of(self, stream: str) -> Watched:
        """Return what has come from a stream so far."""
        with self._lock:
            return self._streams.setdefault(stream, Watched())

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(self._topic, qos=1)

    def _received(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        body = orjson.loads(message.payload)
        self.of(body["stream"]).take(body)
