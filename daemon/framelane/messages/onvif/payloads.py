"""Encodes events as ONVIF maps them to MQTT (Core Specification, "Event Broker"; Analytics, "Specified Rules").

The topic is `<prefix>/onvif-ej/<ONVIF topic>/&<source>`, where the source has the values of the payload's
`Source`: video source, analytics configuration and rule. A stream is the video source, and its node the
configuration that analyzes it, so nodes that share a prefix have topics of their own. Properties are retained,
and an empty payload deletes them; `PropertyOperation` is never sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from framelane.messages.detections import Message
from framelane.messages.onvif.classes import class_type

if TYPE_CHECKING:
    from collections.abc import Mapping

CROSSED = "RuleEngine/LineDetector/Crossed"
INSIDE = "RuleEngine/FieldDetector/ObjectsInside"
LOITERING = "RuleEngine/LoiteringDetector/ObjectIsLoitering"
COUNTER = "RuleEngine/CountAggregation/Counter"
# What MQTT reserves is left out of values in topics, as ONVIF says.
_RESERVED = re.compile(r"[\x00-\x1f\x7f/+#]")


@dataclass(frozen=True, slots=True)
class Source:
    """What an ONVIF event comes from.

    Attributes:
        node: id of the node: the analytics configuration.
        stream: id of the stream: the video source.
        rule: name of the rule.
    """

    node: str
    stream: str
    rule: str

    def message(self, topic: str, at: str, data: Mapping[str, Any], *, retain: bool) -> Message:
        """Encode an event; `at` is a time in RFC 3339."""
        body = {"UtcTime": at, "Source": self._items(), "Data": data}
        return Message("onvif", self.stream, orjson.dumps(body), retain=retain, key=self._key(topic))

    def deleted(self, topic: str) -> Message:
        """Delete a property."""
        return Message("onvif", self.stream, b"", retain=True, key=self._key(topic))

    def _key(self, topic: str) -> str:
        values = "/".join(_RESERVED.sub("", value) for value in self._items().values())
        return f"{topic}/&{values}"

    def _items(self) -> dict[str, str]:
        return {"VideoSource": self.stream, "AnalyticsConfiguration": self.node, "Rule": self.rule}


def crossed_message(event: Mapping[str, Any]) -> Message:
    """Encode a `line` event, given as its own message's JSON; `framelane:Event` tells duplicates apart."""
    seen = event["object"]
    data = {
        **objects_data({seen["id"]: seen["label"]}),
        "framelane:Direction": event["direction"],
        "framelane:Event": event["event"],
    }
    return Source(event["node"], event["stream"], event["rule"]).message(
        CROSSED, event["at"], data, retain=False
    )


def counter_sources(node: str, stream: str, line: str, label: str) -> dict[str, Source]:
    """Return the sources of a line's counters for one label, by direction.

    An ONVIF counter has one direction and one class filter, so each line has a counter per direction and
    label: `street:left:person`. A line's name has no colon.
    """
    return {side: Source(node, stream, f"{line}:{side}:{label}") for side in ("left", "right")}


def objects_data(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the items that name objects, from labels by object id. Their lists are separated by spaces."""
    if not labels:
        return {}
    return {
        "ObjectId": " ".join(labels),
        "ClassTypes": " ".join(class_type(label) for label in labels.values()),
    }
