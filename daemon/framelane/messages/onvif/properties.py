"""Turns events and the states of zones and lines into ONVIF's retained properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from framelane.messages.onvif.payloads import COUNTER, Source, counter_sources
from framelane.messages.onvif.zones import ZoneProperties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from framelane.messages.detections import Message


def with_properties(publish: Callable[[Message], None], node: str) -> Callable[[Message], None]:
    """Return a function that publishes a message and the ONVIF properties that change with it."""
    properties = OnvifProperties(node)

    def both(message: Message) -> None:
        publish(message)
        for made in properties.follow(message):
            publish(made)

    return both


def deletions(cleared: Message, node: str) -> list[Message]:
    """Return the messages that delete the properties of a zone or line, given by the one that clears its topic."""
    return list(OnvifProperties(node).follow(cleared))


class OnvifProperties:
    """Follows what is published about zones and lines. Not thread-safe.

    Args:
        node: id of the node.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._zones: dict[tuple[str, str], ZoneProperties] = {}

    def follow(self, message: Message) -> Iterator[Message]:
        """Yield the properties that change with a message; call this for all of them, as they are published."""
        if message.kind == "events":
            yield from self._happened(orjson.loads(message.payload))
        elif message.kind in ("zones", "lines") and not message.payload:
            yield from self._gone(message)
        elif message.kind == "zones":
            zone = orjson.loads(message.payload)
            yield from self._zone(zone["stream"], zone["zone"]).occupied(zone)
        elif message.kind == "lines":
            yield from self._counted(orjson.loads(message.payload))

    def _happened(self, event: dict[str, Any]) -> Iterator[Message]:
        own = {name: zone for (stream, name), zone in self._zones.items() if stream == event["stream"]}
        if event["kind"] == "end":
            for zone in own.values():
                yield from zone.happened(event)
            return
        for zone in own.values():
            yield from zone.run_changed(event)
        if event["kind"] in ("zone_enter", "zone_exit", "loiter"):
            yield from self._zone(event["stream"], event["rule"]).happened(event)

    def _counted(self, line: dict[str, Any]) -> Iterator[Message]:
        sources = counter_sources(line["node"], line["stream"], line["line"], line["label"])
        for side, source in sources.items():
            if line["known"]:
                yield source.message(COUNTER, line["as_of"], {"Count": line[side]}, retain=True)
            else:
                yield source.deleted(COUNTER)

    def _gone(self, message: Message) -> Iterator[Message]:
        """Delete what a cleared topic stood for."""
        rule, _, label = message.key.partition("/")
        stream = message.stream or ""
        if message.kind == "zones":
            zone = self._zone(stream, rule)
            yield from zone.hidden(unquote(label), "")
            if not zone.known:
                del self._zones[stream, rule]
            return
        for source in counter_sources(self._node, stream, rule, unquote(label)).values():
            yield source.deleted(COUNTER)

    def _zone(self, stream: str, name: str) -> ZoneProperties:
        key = stream, name
        return self._zones.get(key) or self._zones.setdefault(
            key, ZoneProperties(Source(self._node, stream, name))
        )
