"""Subscribes to the demo's own broker like any consumer, and keeps what each stream says."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass
class Watched:
    """What was received from one stream.

    Attributes:
        messages: detections messages received.
        missing: messages that are missing according to `seq`.
        labels: objects received, by label.
        first: the oldest detections message.
        last: the newest one.
        totals: counters of the line, by direction and label, as events tell them.
        zone: objects in the zone, by label, as far as that is known.
    """

    messages: int = 0
    missing: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    first: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    totals: dict[tuple[str, str], int] = field(default_factory=dict)
    zone: dict[str, int] = field(default_factory=dict)

    @property
    def inside(self) -> int | None:
        """Objects in the zone; None while no label's count is known."""
        counts = tuple(self.zone.values())
        return sum(counts) if counts else None

    def crossed(self, direction: str) -> int:
        """Return how many objects crossed the line in a direction, `left` or `right`."""
        # A copy: the subscriber's thread adds labels.
        totals = tuple(self.totals.items())
        return sum(total for (side, _), total in totals if side == direction)

    def take(self, message: dict[str, Any]) -> None:
        """Take a message of any kind."""
        _TAKERS[message["schema"]](self, message)

    def take_detections(self, message: dict[str, Any]) -> None:
        """Count a detections message."""
        if self.last is not None and self.last["run"] == message["run"]:
            self.missing += message["seq"] - self.last["seq"] - 1
        self.messages += 1
        self.labels.update(found["label"] for found in message["detections"])
        self.first = self.first or message
        self.last = message

    def take_event(self, message: dict[str, Any]) -> None:
        """Take what an event says of its line's counter; the newest is the highest, whatever comes twice."""
        if message["kind"] == "line":
            key = message["direction"], message["object"]["label"]
            self.totals[key] = max(self.totals.get(key, 0), message["total"] or 0)

    def take_zone(self, message: dict[str, Any]) -> None:
        """Take how many objects of a label are in the zone."""
        if message["known"]:
            self.zone[message["label"]] = message["count"]
        else:
            self.zone.pop(message["label"], None)

    def summary(self) -> str:
        """Return the newest message's objects in a few words, such as `2 person, 1 car`."""
        if self.last is None:
            return ""
        found = Counter(found["label"] for found in self.last["detections"])
        return ", ".join(f"{count} {label}" for label, count in found.most_common()) or "-"


_TAKERS: dict[str, Callable[[Watched, dict[str, Any]], None]] = {
    "framelane.detections/1": Watched.take_detections,
    "framelane.event/1": Watched.take_event,
    "framelane.zone/1": Watched.take_zone,
}


class Watcher:
    """A subscriber on its own thread.

    Args:
        port: of the broker, on this host.
        topics: of detections, events and zones.
    """

    def __init__(self, port: int, topics: Sequence[str]) -> None:
        self._address = "127.0.0.1", port
        self._topics = [(topic, 1) for topic in topics]
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
        client.subscribe(self._topics)

    def _received(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        if not message.payload:
            # The state of a zone that is gone.
            return
        body = orjson.loads(message.payload)
        self.of(body["stream"]).take(body)
