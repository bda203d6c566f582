"""What ONVIF clients see of one zone: properties that name the objects inside, and those that loiter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framelane.messages.onvif.payloads import INSIDE, LOITERING, objects_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from framelane.messages.detections import Message
    from framelane.messages.onvif.payloads import Source

    Body = Mapping[str, Any]


class ZoneProperties:
    """Makes the retained properties of a zone; says nothing while its occupancy is not known. Not thread-safe.

    Events name the objects. The occupancy says whether anything is known, and corrects the rest: a label with
    no objects has none inside, and one with objects whose entry was not seen has some.

    Args:
        source: the zone.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._inside: dict[str, Body] = {}
        self._loitering: dict[str, Body] = {}
        self._counts: dict[str, int] = {}
        self._known: set[str] = set()
        # The data of each property that the broker has. It may have those of the run before.
        self._said: dict[str, dict[str, Any] | None] = {INSIDE: None, LOITERING: None}

    @property
    def known(self) -> bool:
        """Whether the occupancy is known."""
        return bool(self._known)

    def happened(self, event: Body) -> Iterator[Message]:
        """Take an event of this zone, or the end of an object of its stream."""
        name, kind = event["object"]["id"], event["kind"]
        if kind in ("zone_enter", "loiter"):
            self._inside[name] = event
            if kind == "loiter":
                self._loitering[name] = event
        elif name in self._inside:
            self._forget([name])
            # Until the next occupancy, which counts without it.
            self._counts.pop(event["object"]["label"], None)
        yield from self._changed(event["at"])

    def run_changed(self, event: Body) -> Iterator[Message]:
        """Forget objects of a process other than this event's: that process has died."""
        old = [name for name, one in self._inside.items() if one["run"] != event["run"]]
        if old:
            self._forget(old)
            self._counts.clear()
            yield from self._changed(event["at"])

    def occupied(self, zone: Body) -> Iterator[Message]:
        """Take the occupancy by one label."""
        label = zone["label"]
        if not zone["known"]:
            yield from self.hidden(label, zone["as_of"])
            return
        self._known.add(label)
        self._counts[label] = zone["count"]
        if not zone["count"]:
            self._forget([name for name, one in self._inside.items() if one["object"]["label"] == label])
        yield from self._changed(zone["as_of"])

    def hidden(self, label: str, at: str) -> Iterator[Message]:
        """Note that the occupancy by a label is not known any more."""
        self._known.discard(label)
        self._counts.pop(label, None)
        yield from self._changed(at)

    def _forget(self, objects: list[str]) -> None:
        for name in objects:
            del self._inside[name]
            self._loitering.pop(name, None)

    def _changed(self, at: str) -> Iterator[Message]:
        """Yield the properties that have changed, and delete those that are gone."""
        now: dict[str, dict[str, Any]] = {}
        if self.known:
            is_inside = bool(self._inside) or any(self._counts.values())
            now[INSIDE] = {**_named(self._inside), "IsInside": is_inside}
        if self.known and self._loitering:
            since = min(event["since"] for event in self._loitering.values())
            now[LOITERING] = {**_named(self._loitering), "Since": since}
        for topic in self._said:
            if topic not in now:
                yield self._source.deleted(topic)
        for topic, data in now.items():
            if self._said.get(topic) != data:
                yield self._source.message(topic, at, data, retain=True)
        self._said = dict(now)


def _named(events: dict[str, Body]) -> dict[str, str]:
    return objects_data({name: event["object"]["label"] for name, event in events.items()})
