"""Entities of Home Assistant, as a device's announcement lists them.

Keys are the abbreviations of MQTT discovery (https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from framelane.sinks.homeassistant import templates

Entity = dict[str, Any]


class Figure(NamedTuple):
    """A number that a message tells.

    Attributes:
        key: the entity's key within its device; never changes.
        name: as people see it, after the device's name.
        template: takes the number from the message.
        unit: what it counts or measures, None for none.
        device_class: Home Assistant's own name of the quantity, where it has one.
        state_class: `measurement`, or `total_increasing` for what counts from a start.
        diagnostic: whether it is about how Framelane fares, and not about what it sees.
        precision: digits shown after the point.
    """

    key: str
    name: str
    template: str
    unit: str | None = None
    device_class: str | None = None
    state_class: str = "measurement"
    diagnostic: bool = False
    precision: int = 0


def sensor(topic: str, figure: Figure) -> Entity:
    """A sensor that shows a figure."""
    entity: Entity = {
        "p": "sensor",
        "name": figure.name,
        "stat_t": topic,
        "val_tpl": figure.template,
        "stat_cla": figure.state_class,
        "sug_dsp_prc": figure.precision,
    }
    if figure.unit is not None:
        entity["unit_of_meas"] = figure.unit
    if figure.device_class is not None:
        entity["dev_cla"] = figure.device_class
    return entity | _category(diagnostic=figure.diagnostic)


def choice(topic: str, name: str, template: str, options: list[str]) -> Entity:
    """A sensor that shows one of several words."""
    entity = {
        "p": "sensor",
        "name": name,
        "stat_t": topic,
        "val_tpl": template,
        "dev_cla": "enum",
        "ops": options,
    }
    return entity | _category(diagnostic=True)


def text(topic: str, name: str, template: str) -> Entity:
    """A sensor that shows a text."""
    return {"p": "sensor", "name": name, "stat_t": topic, "val_tpl": template} | _category(diagnostic=True)


def connectivity(topic: str) -> Entity:
    """Whether a stream is live; its attributes are the whole state, with reason and text."""
    return {
        "p": "binary_sensor",
        "name": "Connectivity",
        "dev_cla": "connectivity",
        "stat_t": topic,
        "val_tpl": templates.CONNECTIVITY,
        "json_attr_t": topic,
    }


def occupancy(topic: str, name: str, label: str | None, off_delay_s: int) -> Entity:
    """Whether objects of a class are there; off once none has been seen for `off_delay_s`."""
    return {
        "p": "binary_sensor",
        "name": name,
        "dev_cla": "occupancy",
        "stat_t": topic,
        "val_tpl": templates.occupancy(label),
        "off_dly": off_delay_s,
    }


def availability(topic: str, template: str) -> Entity:
    """When an entity may be believed: the template says `online` or `offline`."""
    return {"t": topic, "val_tpl": template}


def _category(*, diagnostic: bool) -> Entity:
    return {"ent_cat": "diagnostic"} if diagnostic else {}
