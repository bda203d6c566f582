"""The devices that Home Assistant sees, as plain dicts: the node, and its streams through the node."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from framelane import __version__
from framelane.messages.topics import key_of
from framelane.sinks.homeassistant import templates
from framelane.sinks.homeassistant.classes import classes_of
from framelane.sinks.homeassistant.entities import (
    Entity,
    Figure,
    availability,
    choice,
    connectivity,
    image,
    occupancy,
    sensor,
    text,
)
from framelane.sinks.homeassistant.names import escaped
from framelane.sinks.homeassistant.rules import rule_entities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from framelane.config.sections.stream import StreamConfig
    from framelane.sinks.homeassistant.site import Site
    from framelane.telemetry.gpus import GpuSample

Device = dict[str, Any]

ORIGIN = "Framelane"
_URL = "https://github.com/framelane/framelane"
_FPS, _MIB = "fps", "MiB"
# An object must be missed in this many frames before it counts as gone.
_FRAMES_A_DELAY = 2

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


def node_device(site: Site, gpus: Iterable[GpuSample]) -> Device:
    """Return the device of the node, with the GPUs that it uses."""
    status, stats = site.topic("status"), site.topic("stats")
    states = choice(status, "Status", templates.field("state"), ["online", "degraded", "offline"])
    live = Figure("streams_live", "Live streams", templates.field("streams_live"), "streams")
    entities = {
        # The status itself says that the node is offline.
        "status": states | {"avty": []},
        "version": text(status, "Version", templates.field("version")),
        live.key: sensor(status, live),
        **{figure.key: sensor(stats, figure) for figure in _OF_NODE},
        **{figure.key: sensor(stats, figure) for gpu in gpus for figure in _of_gpu(gpu)},
    }
    about = {"name": f"Framelane {site.names.node}", "mdl": "Video analytics node", "sw": __version__}
    return _device(site, None, about, entities)


def stream_device(site: Site, stream: StreamConfig, labels: Mapping[str, Sequence[str]]) -> Device:
    """Return the device of a stream.

    Args:
        site: where it is announced.
        stream: its complete configuration.
        labels: the class labels of each model.
    """
    stats = site.topic("stats", stream.id)
    # Detections are valid only while frames arrive.
    seen = {
        "avty": [
            site.node_available,
            availability(site.topic("state", stream.id), templates.STREAM_AVAILABLE),
        ]
    }
    entities = {
        "connectivity": connectivity(site.topic("state", stream.id)),
        **{key: entity | seen for key, entity in _seen(site, stream, labels)},
        **dict(rule_entities(site, stream, labels)),
        **dict(_snapshots(site, stream, labels)),
        **{figure.key: sensor(stats, figure) for figure in _OF_STREAM},
    }
    about = {"name": stream.id, "mdl": "Video stream", "via_device": site.names.device()}
    return _device(site, stream.id, about, entities)


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
    # Home Assistant's templates read only JSON.
    if site.mqtt.payload != "json":
        return
    topic = site.topic("detections", stream.id)
    delay_s = _off_delay_s(site.mqtt.homeassistant.off_delay_s, stream.fps, stream.publish.max_rate)
    classes = classes_of(stream, site.mqtt.homeassistant.classes, labels)
    # Otherwise no message would say that a count is 0 again.
    counts = stream.publish.empty != "never"
    if classes is None:
        yield "occupancy", occupancy(topic, "Occupancy", None, delay_s)
    for label in classes or ():
        yield f"occupancy_{escaped(label)}", occupancy(topic, _capital(label), label, delay_s)
    if counts:
        yield from ((figure.key, sensor(topic, figure)) for figure in _counts(stream, classes, labels))


def _snapshots(
    site: Site, stream: StreamConfig, labels: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Entity]]:
    """Show the newest snapshot of each class, if snapshots are published."""
    if stream.snapshots is None or stream.snapshots.publish == "none":
        return
    for label in classes_of(stream, site.mqtt.homeassistant.classes, labels) or ():
        topic = site.topic("snapshots", stream.id, key_of(label))
        yield f"snapshot_{escaped(label)}", image(topic, f"{_capital(label)} snapshot")


def _counts(
    stream: StreamConfig, classes: list[str] | None, labels: Mapping[str, Sequence[str]]
) -> Iterator[Figure]:
    """Count each class by the stream's first model that knows it. Without classes, count per model."""
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
    """Return the off delay, long enough that a present object does not disappear between two results."""
    return max(wanted_s, *(math.ceil(_FRAMES_A_DELAY / rate) for rate in most_rates if rate is not None), 0)


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]
