"""Announces devices to Home Assistant, repeats that on its request, and removes devices that are gone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import orjson
import structlog

from framelane.messages.detections import Message
from framelane.sinks.homeassistant.devices import ORIGIN, Device, node_device, stream_device
from framelane.sinks.homeassistant.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from framelane.config.sections.mqtt import MqttConfig
    from framelane.config.sections.stream import StreamConfig
    from framelane.telemetry.gpus import GpuSample

log = structlog.get_logger(__name__)

_BIRTH = b"online"
_DEAF = "allow this client to read it; otherwise Home Assistant keeps removed devices and learns of none when it starts"


@runtime_checkable
class TwoWaySink(Protocol):
    """A sink that also receives messages of others."""

    def offer(self, message: Message) -> None:
        """Take a message for the broker."""
        ...

    def listen(self, listener: Announcer) -> None:
        """Subscribe to this listener's topics. Call it before the sink starts."""
        ...


class Announcer:
    """Announces one node's devices, each with one retained message. Thread-safe.

    The broker's retained messages are the memory. After each connection, the announcements of earlier starts
    come back through `heard`, and those that no longer apply are removed. So a stream that was removed while
    the daemon was down leaves no device behind, and no state file is needed.

    Args:
        site: where and how to announce.
        offer: takes a message for the broker, such as `MqttSink.offer`.
    """

    def __init__(self, site: Site, offer: Callable[[Message], None]) -> None:
        self._site = site
        self._offer = offer
        self._lock = threading.Lock()
        self._devices: dict[str | None, Device] | None = None
        # Received before the first announcement, which then checks them.
        self._found: dict[str | None, Device] = {}

    @property
    def topics(self) -> Sequence[str]:
        """The topics to subscribe to."""
        return (self._site.names.birth, self._site.names.announcements)

    def announce(
        self,
        streams: Iterable[StreamConfig],
        labels: Mapping[str, Sequence[str]],
        gpus: Iterable[GpuSample],
    ) -> None:
        """Announce the current devices. Call it again when they change.

        Args:
            streams: the running streams, with complete configurations.
            labels: the class labels of each model.
            gpus: the GPUs in use.
        """
        devices = {None: node_device(self._site, gpus)} | {
            stream.id: stream_device(self._site, stream, labels) for stream in streams
        }
        with self._lock:
            said = self._devices or {}
            before = said or self._found
            self._found = {}
            self._devices = {
                stream: _without(before[stream], device) if stream in before else device
                for stream, device in devices.items()
            }
            for stream in before.keys() - devices.keys():
                self._take_back(stream)
            for stream, device in self._devices.items():
                if device != said.get(stream):
                    self._say(stream, device)

    def heard(self, topic: str, payload: bytes) -> None:
        """Take Home Assistant's birth message, or an announcement by this node or by others."""
        if topic == self._site.names.birth:
            if payload == _BIRTH:
                self._repeat()
            return
        try:
            stream = self._site.names.stream_at(topic)
        except LookupError:
            return
        device = _ours(payload)
        if device is not None:
            with self._lock:
                self._judge(stream, device)

    def denied(self, topic: str, text: str) -> None:
        """Log that the broker refuses the subscription."""
        log.warning("homeassistant_deaf", topic=topic, text=f"{text}; {_DEAF}")

    def _judge(self, stream: str | None, device: Device) -> None:
        """Remove an announced device that no longer exists, or entities of one."""
        if self._devices is None:
            self._found[stream] = device
        elif stream not in self._devices:
            self._take_back(stream)
        elif (corrected := _without(device, self._devices[stream])) != self._devices[stream]:
            self._devices[stream] = corrected
            self._say(stream, corrected)

    def _repeat(self) -> None:
        with self._lock:
            for stream, device in (self._devices or {}).items():
                self._say(stream, device)

    def _say(self, stream: str | None, device: Device) -> None:
        self._offer(Message("discovery", stream, orjson.dumps(device), retain=True))

    def _take_back(self, stream: str | None) -> None:
        log.info("homeassistant_removed", stream=stream)
        self._offer(Message("discovery", stream, b"", retain=True))


def announce_through(sink: TwoWaySink, node: str, mqtt: MqttConfig) -> Announcer | None:
    """Return an announcer that uses a sink not yet started; None if the configuration disables it."""
    if not mqtt.homeassistant.enabled:
        return None
    announcer = Announcer(Site.of(node, mqtt), sink.offer)
    sink.listen(announcer)
    return announcer


def _without(old: Device, new: Device) -> Device:
    """Return the new announcement with a removal mark for each entity that only the old one has.

    Home Assistant removes an entity whose only key is its platform. An entity that is simply left out stays.
    """
    gone = {
        key: {"p": entity["p"]}
        for key, entity in old["cmps"].items()
        if key not in new["cmps"] and len(entity) > 1
    }
    return new | {"cmps": new["cmps"] | gone} if gone else new


def _ours(payload: bytes) -> Device | None:
    """Return the announcement if Framelane made it, else None."""
    try:
        device = orjson.loads(payload)
        entities = device["cmps"].values()
        ours = device["o"]["name"] == ORIGIN and all(isinstance(entity["p"], str) for entity in entities)
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return None
    return device if ours else None
