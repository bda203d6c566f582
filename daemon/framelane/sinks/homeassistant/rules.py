"""Entities of a stream's zones and lines, which read the retained messages of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.messages.topics import key_of
from framelane.sinks.homeassistant import templates
from framelane.sinks.homeassistant.classes import classes_of
from framelane.sinks.homeassistant.entities import Entity, Figure, availability, inside, sensor
from framelane.sinks.homeassistant.names import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from framelane.config.sections.rules import LineConfig, ZoneConfig
    from framelane.config.sections.stream import StreamConfig
    from framelane.sinks.homeassistant.site import Site

_MOST_LABELS = 8
"""A rule without classes gets entities for all labels of its models, if they are no more than this."""


def rule_entities(
    site: Site, stream: StreamConfig, labels: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Entity]]:
    """Yield key and entity of everything that a stream's zones and lines say.

    Args:
        site: where the stream is announced.
        stream: its complete configuration.
        labels: the class labels of each model.
    """
    for name, zone in stream.zones.items():
        for label in _labels(site, stream, zone, labels):
            topic = site.topic("zones", stream.id, key_of(name, label))
            key = f"{escaped(name)}__{escaped(label)}"
            count = Figure(f"zone_count__{key}", f"{name} {label} count", templates.field("count"))
            yield f"zone_occupancy__{key}", inside(topic, f"{name} {label}") | _known(site, topic)
            yield count.key, sensor(topic, count) | _known(site, topic)
    for name, line in stream.lines.items():
        for label in _labels(site, stream, line, labels):
            topic = site.topic("lines", stream.id, key_of(name, label))
            key = f"{escaped(name)}__{escaped(label)}"
            for side in ("left", "right"):
                count = Figure(
                    f"line_{side}__{key}",
                    f"{name} {label} {side}",
                    templates.field(side),
                    state_class="total_increasing",
                )
                yield count.key, sensor(topic, count) | _known(site, topic)


def _labels(
    site: Site, stream: StreamConfig, rule: LineConfig | ZoneConfig, labels: Mapping[str, Sequence[str]]
) -> list[str]:
    chosen = rule.classes if rule.classes is not None else site.mqtt.homeassistant.classes
    classes = classes_of(stream, chosen, labels)
    if classes is not None:
        return classes
    every = list(dict.fromkeys(label for key in stream.model_keys for label in labels[key]))
    return every if len(every) <= _MOST_LABELS else []


def _known(site: Site, topic: str) -> Entity:
    """Return the availability of what a retained message says: only while the message says that it knows."""
    return {"avty": [site.node_available, availability(topic, templates.KNOWN)]}
