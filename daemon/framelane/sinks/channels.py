"""The topics that Framelane publishes: one table, for the publisher itself and for what consumers are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framelane.sinks.message import Encoding, Kind


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of topic.

    Attributes:
        name: of its JSON Schema, and of the messages' `schema` less `framelane.` and `/1`.
        kind: of its messages.
        of_stream: whether each stream has one, or the node.
        qos: of its messages; None where `mqtt.qos` says it.
        retain: whether the broker keeps the newest message for those who come later.
        when: what makes a message, for a person.
    """

    name: str
    kind: Kind
    of_stream: bool
    qos: int | None
    retain: bool
    when: str

    @property
    def schema(self) -> str:
        """What its messages say of themselves."""
        return f"framelane.{self.name}/1"

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """What its messages may be encoded in: retained and rare ones are for every tool to read."""
        return ("json", "msgpack") if self.kind == "detections" else ("json",)


# Retained topics must be right, or a consumer waits for ever; lost statistics are replaced by the next.
CHANNELS = (
    Channel("status", "status", False, 1, True, "At each change of the node's status, and as Last Will."),  # noqa: FBT003 - a table
    Channel("state", "state", True, 1, True, "At each change of a stream's state; empty when it is removed."),  # noqa: FBT003
    Channel("detections", "detections", True, None, False, "For each result that `publish` lets through."),  # noqa: FBT003
    Channel("stats", "stats", True, 0, False, "Every `node.stats_s`: a stream's rates, drops and latency."),  # noqa: FBT003
    Channel("node-stats", "stats", False, 0, False, "Every `node.stats_s`: the node's totals."),  # noqa: FBT003
)

CONTENT: dict[Encoding, tuple[str, int]] = {
    "json": ("application/json", 1),
    "msgpack": ("application/msgpack", 0),
}
"""Content type, and payload format indicator: 1 for UTF-8, 0 for bytes."""


def topic_of(base: str, kind: str, stream: str | None) -> str:
    """The topic of a kind of message below `<prefix>/<node>`, of a stream or of the node."""
    return f"{base}/{kind}" if stream is None else f"{base}/streams/{stream}/{kind}"
