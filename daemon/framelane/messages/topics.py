"""The table of topics that Framelane publishes, for the publisher and for its documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framelane.messages.detections import Encoding, Kind


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of topic.

    Attributes:
        name: of its JSON Schema, and of the messages' `schema` without `framelane.` and `/1`.
        kind: of its messages.
        of_stream: whether each stream has one; otherwise the node has one.
        qos: of its messages; None if `mqtt.qos` sets it.
        retain: whether the broker keeps the newest message for later subscribers.
        when: when a message is sent, as a sentence.
        levels: names of the levels that follow the kind, such as a zone and a label.
    """

    name: str
    kind: Kind
    of_stream: bool
    qos: int | None
    retain: bool
    when: str
    levels: tuple[str, ...] = ()

    @property
    def clearable(self) -> bool:
        """Whether an empty message deletes the retained one when its subject is gone."""
        return self.retain and self.of_stream

    @property
    def schema(self) -> str:
        """The value of `schema` in its messages."""
        return f"framelane.{self.name}/1"

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """The possible encodings of its messages. Retained and rare messages are readable for every tool."""
        if self.kind == "snapshots":
            return ("jpeg",)
        return ("json", "msgpack") if self.kind == "detections" else ("json",)


_ZONE_WHEN = (
    "When the count of a label in a zone changes, or becomes known or unknown; empty when it is gone."
)
_LINE_WHEN = "When an object has crossed a line, or its counters start again; empty when it is gone."
# Retained topics need QoS 1, or a consumer might wait forever. Lost statistics are replaced by the next.
CHANNELS = (
    Topic("status", "status", False, 1, True, "At each change of the node's status, and as Last Will."),  # noqa: FBT003 - a table
    Topic("state", "state", True, 1, True, "At each change of a stream's state; empty when it is removed."),  # noqa: FBT003
    Topic("detections", "detections", True, None, False, "For each result that `publish` lets through."),  # noqa: FBT003
    Topic("event", "events", True, 1, False, "When an object comes, changes, crosses a line or goes."),  # noqa: FBT003
    Topic("zone", "zones", True, 1, True, _ZONE_WHEN, ("zone", "label")),  # noqa: FBT003
    Topic("line", "lines", True, 1, True, _LINE_WHEN, ("line", "label")),  # noqa: FBT003
    Topic("stats", "stats", True, 0, False, "Every `node.stats_s`: a stream's rates, drops and latency."),  # noqa: FBT003
    Topic("node-stats", "stats", False, 0, False, "Every `node.stats_s`: the node's totals."),  # noqa: FBT003
)
SNAPSHOTS = Topic(
    "snapshot",
    "snapshots",
    True,  # noqa: FBT003 - as above
    1,
    True,  # noqa: FBT003
    "When an object or event of a label has a new snapshot, if `snapshots.publish` says so; empty when it is gone.",
    ("label",),
)
"""Images, which have no schema. They are retained if `snapshots.retain` says so."""

CONTENT: dict[Encoding, tuple[str, int]] = {
    "json": ("application/json", 1),
    "msgpack": ("application/msgpack", 0),
    "jpeg": ("image/jpeg", 0),
}
"""Content type and payload format indicator (1 for UTF-8, 0 for bytes)."""


_RESERVED = re.compile(r"[\x00-\x1f\x7f/+#%]")


def topic_of(base: str, kind: str, stream: str | None, key: str = "") -> str:
    """Return the topic of a kind of message below `<prefix>/<node>`, for a stream or the node."""
    topic = f"{base}/{kind}" if stream is None else f"{base}/streams/{stream}/{kind}"
    return f"{topic}/{key}" if key else topic


def key_of(*levels: str) -> str:
    """Return names as levels of a topic; what MQTT reserves (`/`, `+`, `#`) and `%` is percent-encoded."""
    return "/".join(_RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", level) for level in levels)
