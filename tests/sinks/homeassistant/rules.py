"""What Home Assistant accepts in a device's announcement, and how it makes entities of it.

Facts from its documentation (https://www.home-assistant.io/integrations/mqtt/, .../binary_sensor.mqtt/,
.../sensor.mqtt/, https://developers.home-assistant.io/docs/core/entity/sensor) and from its release 2025.4.
"""

from __future__ import annotations

import re
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import orjson
from jinja2.sandbox import ImmutableSandboxedEnvironment

TOPIC = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/config")
ENTITY_KEY = re.compile(r"[a-zA-Z0-9_-]+")
DEVICE_KEYS = {"dev", "o", "cmps", "avty", "avty_mode", "stat_t", "qos"}
ABOUT_KEYS = {"ids", "cns", "cu", "name", "mf", "mdl", "mdl_id", "hw", "sw", "sa", "sn", "via_device"}
ORIGIN_KEYS = {"name", "sw", "url"}
AVAILABILITY_KEYS = {"t", "pl_avail", "pl_not_avail", "val_tpl"}
_COMMON = {
    "p", "name", "stat_t", "val_tpl", "uniq_id", "avty", "avty_mode", "dev_cla", "ent_cat", "en", "ic",
    "json_attr_t", "json_attr_tpl", "exp_aft", "frc_upd", "qos", "e",
}  # fmt: skip
ENTITY_KEYS = {
    "binary_sensor": _COMMON | {"off_dly", "pl_on", "pl_off"},
    "sensor": _COMMON | {"stat_cla", "unit_of_meas", "sug_dsp_prc", "ops", "lrst_val_tpl"},
    "image": {
        "p",
        "name",
        "img_t",
        "cont_type",
        "uniq_id",
        "avty",
        "avty_mode",
        "ent_cat",
        "en",
        "ic",
        "img_e",
    },
}
NEEDED = {"p", "name", "stat_t", "val_tpl", "uniq_id"}
NEEDED_OF_IMAGE = {"p", "name", "img_t", "uniq_id"}
BINARY_CLASSES = {"connectivity", "occupancy", "motion", "presence", "problem", "running"}
# By device class of sensors: the units, and the state classes; of those that we use.
UNITS: dict[str, set[str | None]] = {
    "data_size": {"B", "kB", "MB", "GB", "KiB", "MiB", "GiB"},
    "duration": {"d", "h", "min", "s", "ms"},
    "enum": {None},
    "power": {"mW", "W", "kW"},
    "temperature": {"°C", "°F", "K"},
}
STATE_CLASSES: dict[str, set[str | None]] = {
    "data_size": {"measurement", "total", "total_increasing"},
    "duration": {"measurement", "total", "total_increasing"},
    "enum": {None},
    "power": {"measurement"},
    "temperature": {"measurement"},
}
_JINJA = ImmutableSandboxedEnvironment()


def faults(device: dict[str, Any]) -> list[str]:
    """What Home Assistant would not take, or would not do as meant."""
    about, origin, entities = device["dev"], device["o"], device["cmps"]
    found = [f"device: {key}" for key in device.keys() - DEVICE_KEYS]
    found += [f"dev: {key}" for key in about.keys() - ABOUT_KEYS]
    found += [f"o: {key}" for key in origin.keys() - ORIGIN_KEYS]
    found += [] if about["ids"] and origin["name"] else ["no identifier or origin"]
    found += _of_availability("device", device)
    for key, entity in entities.items():
        found += [f"{key}: {fault}" for fault in _of_entity(key, entity)]
    ids = [entity["uniq_id"] for entity in entities.values()]
    names = [(entity["p"], entity["name"]) for entity in entities.values()]
    found += [] if len(set(ids)) == len(ids) else ["unique ids repeat"]
    return found + ([] if len(set(names)) == len(names) else ["names repeat"])


def _of_entity(key: str, entity: dict[str, Any]) -> list[str]:
    found = [] if ENTITY_KEY.fullmatch(key) else ["the key has letters that topics of entities may not have"]
    needed = NEEDED_OF_IMAGE if entity["p"] == "image" else NEEDED
    found += [f"lacks {name}" for name in needed - entity.keys()]
    found += [f"unknown {name}" for name in entity.keys() - ENTITY_KEYS[entity["p"]]]
    found += (
        [] if entity.get("ent_cat") in (None, "diagnostic") else ["category"]
    )  # `config` can't be a sensor's
    kind, unit, state_class = entity.get("dev_cla"), entity.get("unit_of_meas"), entity.get("stat_cla")
    if entity["p"] == "binary_sensor":
        found += [] if kind in BINARY_CLASSES else [f"device class {kind}"]
        found += [] if entity.get("off_dly", 1) >= 1 else ["off delay"]
    elif kind is not None:
        found += [] if unit in UNITS[kind] else [f"unit {unit}"]
        found += [] if state_class in STATE_CLASSES[kind] else [f"state class {state_class}"]
        found += [] if ("ops" in entity) == (kind == "enum") else ["options"]
    return found + _of_availability("availability", entity)


def _of_availability(where: str, holder: dict[str, Any]) -> list[str]:
    rows = holder.get("avty", [])
    found = [f"{where}: {key}" for row in rows for key in row.keys() - AVAILABILITY_KEYS]
    topics = [row["t"] for row in rows]  # Home Assistant keeps one verdict a topic
    found += [] if len(set(topics)) == len(topics) else [f"{where}: a topic stands twice"]
    return found + ([] if holder.get("avty_mode", "all") in ("all", "any", "latest") else [f"{where}: mode"])


def rendered(template: str, payload: bytes, state: str = "unknown") -> str:
    """What a value template gives for a message, where the entity is in this state.

    `value_json` is missing if the message is not JSON.
    """
    values: dict[str, Any] = {"value": payload.decode(), "this": SimpleNamespace(state=state)}
    with suppress(orjson.JSONDecodeError):
        values["value_json"] = orjson.loads(payload)
    return _JINJA.from_string(template).render(values).strip()
