"""Home Assistant's part: learns entities from discovery, reads states with their templates, and judges changes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from jinja2 import Environment

if TYPE_CHECKING:
    from jinja2 import Template

DISCOVERY = "homeassistant"
_UNKNOWN = "None"


class Entity(NamedTuple):
    """An entity with a state: its unique id, how to read a message, and whether it counts for good."""

    name: str
    template: Template
    rises: bool


class Home:
    """The states of all entities that were announced. One thread at a time."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.faults: list[str] = []
        """States that a late message has changed, and counters of lines that fell."""
        self.late = 0
        """Late messages of topics that entities read."""
        self._entities: dict[str, dict[str, Entity]] = defaultdict(dict)
        self._most: dict[str, float] = {}
        self._jinja = Environment(autoescape=False)  # noqa: S701 - no HTML

    def take(self, topic: str, payload: bytes) -> None:
        """Take a message of any topic, as it arrives."""
        if not payload:
            return
        if topic.startswith(f"{DISCOVERY}/"):
            self._learn(orjson.loads(payload))
        elif topic in self._entities:
            body = orjson.loads(payload)
            late = bool(body.get("replayed"))
            self.late += late
            for entity in self._entities[topic].values():
                self._read(entity, body, late=late)

    def _learn(self, device: dict[str, Any]) -> None:
        for each in device.get("cmps", {}).values():
            if "stat_t" in each:
                template = self._jinja.from_string(each.get("val_tpl", "{{ value }}"))
                # Other counters begin again with the daemon.
                rises = each.get("stat_cla") == "total_increasing" and "/lines/" in each["stat_t"]
                self._entities[each["stat_t"]][each["uniq_id"]] = Entity(each["uniq_id"], template, rises)

    def _read(self, entity: Entity, body: dict[str, Any], *, late: bool) -> None:
        before = self.states.get(entity.name, "unknown")
        # An entity is switched with ON and OFF, and its state is then on or off.
        now = entity.template.render(value_json=body, this={"state": before.lower()})
        if not now:
            return
        if late:
            self.faults.append(f"a late message set {entity.name} to {now}")
        self.states[entity.name] = now
        if entity.rises and now != _UNKNOWN:
            most = self._most.get(entity.name, 0.0)
            if float(now) < most:
                self.faults.append(f"{entity.name} fell from {most:g} to {now}")
            self._most[entity.name] = float(now)
