"""Keeps Home Assistant's picture of the node true: announces devices, again when it asks, and takes back what went."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import orjson
import structlog

from framelane.sinks.homeassistant.devices import ORIGIN, Device, Site, node_device, stream_device
from framelane.sinks.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from framelane.config.schema import MqttConfig, StreamConfig
    from framelane.sinks.mqtt import MqttSink
    from framelane.telemetry.gpus import GpuSample

log = structlog.get_logger(__name__)

_BIRTH = b"online"
_DEAF = (
    "allow this client to read it, or Home Assistant keeps what is gone and is told nothing when it starts"
)


class Announcer:
    """Announces one node's devices, each by one retained message. Thread-safe.

    The broker's retained messages are the memory: what an earlier start has left there comes back through `heard`
    after each connection, and what is not announced now is taken back. So a stream that was removed while the daemon
    was down leaves no device behind, and no file has to remember it.

    Args:
        site: where and how to announce.
        offer: takes a message for the broker, such as `MqttSink.offer`.
    """

    def __init__(self, site: Site, offer: Callable[[Message], None]) -> None:
        self._site = site
        self._offer = offer
        self._lock = threading.Lock()
        self._devices: dict[str | None, Device] | None = None
        self._found: dict[str | None, Device] = {}  # before the first announcement, which will judge them

    @property
    def topics(self) -> Sequence[str]:
        """What to subscribe to."""
        return (self._site.names.birth, self._site.names.announcements)

    def announce(
        self,
        streams: Iterable[StreamConfig],
        labels: Mapping[str, Sequence[str]],
        gpus: Iterable[GpuSample],
    ) -> None:
        """Say what there is from here on; call it again when that changes.

        Args:
            streams: the streams that run, with complete configurations.
            labels: names of what models find, by model.
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
        """Home Assistant has started, or a device is announced: by us, by an earlier start of us, or by others."""
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
        """The broker lets us not subscribe."""
        log.warning("homeassistant_deaf", topic=topic, text=f"{text}; {_DEAF}")

    def _judge(self, stream: str | None, device: Device) -> None:
        """Take back what is announced though it is not there any more: a device, or entities of one."""
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


def announce_through(sink: MqttSink, node: str, mqtt: MqttConfig) -> Announcer | None:
    """An announcer that speaks and hears through a sink not yet started; None where the configuration wants none."""
    if not mqtt.homeassistant.enabled:
        return None
    announcer = Announcer(Site.of(node, mqtt), sink.offer)
    sink.listen(announcer)
    return announcer


def _without(old: Device, new: Device) -> Device:
    """The new announcement, with a mark for each entity of the old one that it lacks.

    Home Assistant removes an entity that has no key but its platform; one that is left out stays.
    """
    gone = {
        key: {"p": entity["p"]}
        for key, entity in old["cmps"].items()
        if key not in new["cmps"] and len(entity) > 1
    }
    return new | {"cmps": new["cmps"] | gone} if gone else new


def _ours(payload: bytes) -> Device | None:
    """An announcement that Framelane has made, None for anything else."""
    try:
        device = orjson.loads(payload)
        entities = device["cmps"].values()
        ours = device["o"]["name"] == ORIGIN and all(isinstance(entity["p"], str) for entity in entities)
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return None
    return device if ours else None
