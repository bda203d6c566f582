"""The devices that Home Assistant is told of, as plain dicts: the node, and its streams by way of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framelane import __version__
from framelane.sinks.channels import topic_of
from framelane.sinks.homeassistant import templates
from framelane.sinks.homeassistant.entities import (
    Entity,
    Figure,
    availability,
    choice,
    connectivity,
    occupancy,
    sensor,
    text,
)
from framelane.sinks.homeassistant.names import Names, escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from framelane.config.schema import MqttConfig, StreamConfig
    from framelane.telemetry.gpus import GpuSample

Device = dict[str, Any]

ORIGIN = "Framelane"
_URL = "https://github.com/framelane/framelane"
_FPS, _MIB = "fps", "MiB"
_FRAMES_A_DELAY = 2  # an object must be missed in this many frames before it is gone

_RATES = (
    Figure("fps_in", "FPS received", templates.field("fps_in"), _FPS, precision=1),
    Figure("fps_inferred", "FPS inferred", templates.field("fps_inferred"), _FPS, precision=1),
    Figure("fps_published", "FPS published", templates.field("fps_published"), _FPS, precision=1),
)
_LATENCIES = (
    Figure("latency_p50", "Latency P50", templates.percentile("p50"), "ms", "duration", diagnostic=True),
    Figure("latency_p95", "Latency P95", templates.percentile("p95"), "ms", "duration", diagnostic=True),
    Figure("latency_p99", "Latency P99", templates.percentile("p99"), "ms", "duration", diagnostic=True),
)
_DROPPED = Figure("dropped", "Dropped frames", templates.DROPPED, "frames", diagnostic=True)
_RECONNECTS = Figure(
    "reconnects", "Reconnects", templates.field("reconnects"), state_class="total_increasing", diagnostic=True
)
_OF_STREAM = (*_RATES, _DROPPED, *_LATENCIES, _RECONNECTS)
_OF_NODE = (
    *_RATES,
    _DROPPED,
    *_LATENCIES,
    Figure("spool_queued", "Spool depth", templates.of_sink("mqtt", "queued"), "messages", diagnostic=True),
    Figure("spool_dropped", "Spool dropped", templates.of_sink("mqtt", "dropped"), "messages",
           state_class="total_increasing", diagnostic=True),
    Figure("rss", "Memory", "{{ (value_json.rss_bytes / 1048576) | round(1) }}", _MIB, "data_size", diagnostic=True),
    Figure("cpu_cores", "CPU", templates.field("cpu_cores"), "cores", diagnostic=True, precision=2),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """Where and how one node announces its devices.

    Attributes:
        names: of devices.
        mqtt: the `mqtt` section.
    """

    names: Names
    mqtt: MqttConfig

    @staticmethod
    def of(node: str, mqtt: MqttConfig) -> Site:
        """The site of a node."""
        return Site(Names(mqtt.homeassistant.prefix, mqtt.prefix, node), mqtt)

    def topic(self, kind: str, stream: str | None = None) -> str:
        """The topic of a kind of message."""
        return topic_of(f"{self.mqtt.prefix}/{self.names.node}", kind, stream)

    @property
    def node_available(self) -> Entity:
        """The node runs; with it goes everything else."""
        return availability(self.topic("status"), templates.NODE_AVAILABLE)


def node_device(site: Site, gpus: Iterable[GpuSample]) -> Device:
    """The node itself, with the GPUs that it uses."""
    status, stats = site.topic("status"), site.topic("stats")
    states = choice(status, "Status", templates.field("state"), ["online", "degraded", "offline"])
    live = Figure("streams_live", "Live streams", templates.field("streams_live"), "streams")
    entities = {
        "status": states | {"avty": []},  # it says itself that the node is offline
        "version": text(status, "Version", templates.field("version")),
        live.key: sensor(status, live),
        **{figure.key: sensor(stats, figure) for figure in _OF_NODE},
        **{figure.key: sensor(stats, figure) for gpu in gpus for figure in _of_gpu(gpu)},
    }
    about = {"name": f"Framelane {site.names.node}", "mdl": "Video analytics node", "sw": __version__}
    return _device(site, None, about, entities)


def stream_device(site: Site, stream: StreamConfig, labels: Mapping[str, Sequence[str]]) -> Device:
    """A stream.

    Args:
        site: where it is announced.
        stream: its configuration, complete.
        labels: names of what models find, by model.
    """
    stats = site.topic("stats", stream.id)
    # What is seen can be believed only while frames arrive.
    seen = {
        "avty": [
            site.node_available,
            availability(site.topic("state", stream.id), templates.STREAM_AVAILABLE),
        ]
    }
    entities = {
        "connectivity": connectivity(site.topic("state", stream.id)),
        **{key: entity | seen for key, entity in _seen(site, stream, labels)},
        **{figure.key: sensor(stats, figure) for figure in _OF_STREAM},
    }
    about = {"name": stream.id, "mdl": "Video stream", "via_device": site.names.device()}
    return _device(site, stream.id, about, entities)


def classes_of(
    stream: StreamConfig, chosen: Sequence[str] | None, labels: Mapping[str, Sequence[str]]
) -> list[str] | None:
    """The classes of a stream that get entities of their own, None where nobody has chosen any."""
    wanted = stream.classes if chosen is None else chosen
    if wanted is None:
        return None
    found = {label for key in stream.model_keys for label in labels[key]}
    if stream.classes is not None:
        found &= set(stream.classes)
    return [label for label in dict.fromkeys(wanted) if label in found]


def _device(site: Site, stream: str | None, about: Device, entities: dict[str, Entity]) -> Device:
    own = site.names.device(stream)
    return {
        "dev": {"ids": [own], "mf": ORIGIN, **about},
        "o": {"name": ORIGIN, "sw": __version__, "url": _URL},
        "avty": [site.node_available],
        "avty_mode": "all",
        "cmps": {key: entity | {"uniq_id": f"{own}_{key}"} for key, entity in entities.items()},
    }


def _seen(
    site: Site, stream: StreamConfig, labels: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Entity]]:
    if site.mqtt.payload != "json":  # Home Assistant's templates read nothing else
        return
    topic = site.topic("detections", stream.id)
    delay_s = _off_delay_s(site.mqtt.homeassistant.off_delay_s, stream.fps, stream.publish.max_rate)
    classes = classes_of(stream, site.mqtt.homeassistant.classes, labels)
    counts = stream.publish.empty != "never"  # else nothing would tell that one is 0 again
    if classes is None:
        yield "occupancy", occupancy(topic, "Occupancy", None, delay_s)
    for label in classes or ():
        yield f"occupancy_{escaped(label)}", occupancy(topic, _capital(label), label, delay_s)
    if counts:
        yield from ((figure.key, sensor(topic, figure)) for figure in _counts(stream, classes, labels))


def _counts(
    stream: StreamConfig, classes: list[str] | None, labels: Mapping[str, Sequence[str]]
) -> Iterator[Figure]:
    """Each class is counted by the first of the stream's models that knows it; with no class, each model counts."""
    models = stream.model_keys
    several = len(models) > 1
    if classes is None and several:
        for model in models:
            key, name = f"count_{escaped(model)}", f"Objects ({model})"
            yield Figure(key, name, templates.count(None, model))
    elif classes is None:
        yield Figure("count", "Objects", templates.count(None, None))
    for label in classes or ():
        model = next(key for key in models if label in labels[key])
        template = templates.count(label, model if several else None)
        yield Figure(f"count_{escaped(label)}", f"{_capital(label)} count", template)


def _of_gpu(gpu: GpuSample) -> Iterator[Figure]:
    index, key, name = gpu.index, f"gpu{gpu.index}", f"GPU {gpu.index}"
    busy = templates.of_gpu_scaled(index, "utilization", 100, 1)
    decoding = templates.of_gpu_scaled(index, "decoder_utilization", 100, 1)
    memory = templates.of_gpu_scaled(index, "memory_used_bytes", 2**-20, 0)
    warmth = templates.of_gpu(index, "temperature_c")
    power = templates.of_gpu(index, "power_w")
    yield Figure(f"{key}_utilization", f"{name} utilization", busy, "%", diagnostic=True)
    yield Figure(f"{key}_decoder", f"{name} decoder", decoding, "%", diagnostic=True)
    yield Figure(f"{key}_memory", f"{name} memory", memory, _MIB, "data_size", diagnostic=True)
    yield Figure(f"{key}_temperature", f"{name} temperature", warmth, "°C", "temperature", diagnostic=True)
    yield Figure(f"{key}_power", f"{name} power", power, "W", "power", diagnostic=True)


def _off_delay_s(wanted_s: int, *most_rates: float | None) -> int:
    """Not so short that an object that stays would go between two results."""
    return max(wanted_s, *(math.ceil(_FRAMES_A_DELAY / rate) for rate in most_rates if rate is not None), 0)


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]
