"""The objects that have not ended yet, so that each `new` has exactly one `end`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from framelane.core.attributes import attribute_of
from framelane.core.events import Event, TrackedObject
from framelane.events.facts import FactKey

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from framelane.core.events import EndReason
    from framelane.events.facts import Facts

_OBJECT = "object"


class OpenObjects:
    """Each open object's last event, by stream. Used by the journal's thread.

    Args:
        facts: keeps them.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._streams: dict[str, dict[str, Event]] = {}

    def take(self, event: Event) -> bool:
        """Note an event; return False if it must not be published: a second `new`, or an `end` without one."""
        objects = self._streams.setdefault(event.stream, {})
        name = event.object.id
        if event.kind == "new":
            if name in objects:
                return False
        elif event.kind == "end":
            if objects.pop(name, None) is None:
                return False
            self._facts.drop(_key(name))
            return True
        elif event.kind == "clip" or name not in objects:
            # A clip is news of an earlier event; and a stream's events may leave out the objects themselves.
            return True
        objects[name] = event
        self._facts.put(_key(name), event)
        return True

    def load(self, stored: Mapping[FactKey, bytes]) -> list[Event]:
        """Open the objects of earlier runs; return the end of each."""
        found = [_event(orjson.loads(text)) for key, text in stored.items() if key.kind == _OBJECT]
        for event in found:
            self._streams.setdefault(event.stream, {}).setdefault(event.object.id, event)
        return [_end(event, "restart") for event in found]

    def ends_of_others(self, stream: str, run: str) -> list[Event]:
        """Return the ends of a stream's objects that another run has left open."""
        objects = self._streams.get(stream)
        if not objects:
            return []
        return [_end(event, "restart") for event in objects.values() if event.run != run]

    def ends(self, reason: EndReason, streams: Collection[str] | None = None) -> list[Event]:
        """Return the ends of all objects, or of those of some streams."""
        wanted = list(self._streams) if streams is None else streams
        return [_end(event, reason) for name in wanted for event in self._streams.get(name, {}).values()]


def _end(event: Event, reason: EndReason) -> Event:
    """Return the end of an object, at its last known time."""
    return replace(
        event, kind="end", ordinal=1, rule=None, direction=None, since=None, reason=reason, snapshot_url=None
    )


def _key(name: str) -> FactKey:
    return FactKey(_OBJECT, (name,))


def _event(value: dict[str, object]) -> Event:
    """Return the event that was stored as JSON."""
    seen = dict(value.pop("object"))  # type: ignore[call-overload] # our own JSON
    attributes = tuple(map(attribute_of, seen.get("attributes", ())))
    seen |= {"xyxy": tuple(seen["xyxy"]), "zones": tuple(seen["zones"]), "attributes": attributes}
    return Event(**value, object=TrackedObject(**seen))  # type: ignore[arg-type] # as above
