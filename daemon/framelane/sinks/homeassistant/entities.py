"""Entities of Home Assistant, as they appear in a device's announcement.

Keys are the abbreviations of MQTT discovery
(https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from framelane.sinks.homeassistant import templates

Entity = dict[str, Any]


class Figure(NamedTuple):
    """A number in a message, shown as a sensor.

    Attributes:
        key: the entity's key within its device; never changes.
        name: the displayed name, after the device's name.
        template: extracts the number from the message.
        unit: of the number; None if it has none.
        device_class: Home Assistant's own name of the quantity, if it has one.
        state_class: `measurement`, or `total_increasing` for a counter.
        diagnostic: whether it is about Framelane's health rather than the video's content.
        precision: displayed decimal places.
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
    """Return a sensor that shows a figure."""
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
    """Return a sensor that shows one of several words."""
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
    """Return a sensor that shows a text."""
    return {"p": "sensor", "name": name, "stat_t": topic, "val_tpl": template} | _category(diagnostic=True)


def connectivity(topic: str) -> Entity:
    """Return a binary sensor for whether a stream is live. Its attributes hold the whole state."""
    return {
        "p": "binary_sensor",
        "name": "Connectivity",
        "dev_cla": "connectivity",
        "stat_t": topic,
        "val_tpl": templates.CONNECTIVITY,
        "json_attr_t": topic,
    }


def occupancy(topic: str, name: str, label: str | None, off_delay_s: int) -> Entity:
    """Return a binary sensor for objects of a class; off once none has been seen for `off_delay_s`."""
    return {
        "p": "binary_sensor",
        "name": name,
        "dev_cla": "occupancy",
        "stat_t": topic,
        "val_tpl": templates.occupancy(label),
        "off_dly": off_delay_s,
    }


def inside(topic: str, name: str) -> Entity:
    """Return a binary sensor for objects of a label in a zone; no delay, because a zone does not flicker."""
    return {
        "p": "binary_sensor",
        "name": name,
        "dev_cla": "occupancy",
        "stat_t": topic,
        "val_tpl": templates.INSIDE,
    }


def image(topic: str, name: str) -> Entity:
    """Return an image entity that shows the newest JPEG image of a topic."""
    return {"p": "image", "name": name, "img_t": topic, "cont_type": "image/jpeg"}


def availability(topic: str, template: str) -> Entity:
    """Return an entity's availability; the template says `online` or `offline`."""
    return {"t": topic, "val_tpl": template}


def _category(*, diagnostic: bool) -> Entity:
    return {"ent_cat": "diagnostic"} if diagnostic else {}
