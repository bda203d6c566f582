"""What somebody wants to see of the events that were published, and a page of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events to show; a part that is empty wants all.

    Attributes:
        streams: ids of streams.
        kinds: kinds of events.
        rules: names of lines and zones.
        labels: labels of objects.
        since: time from which events happened, as in messages.
        until: time before which they happened, likewise.
    """

    streams: Collection[str] = ()
    kinds: Collection[str] = ()
    rules: Collection[str] = ()
    labels: Collection[str] = ()
    since: str = ""
    until: str = ""

    @property
    def everything(self) -> bool:
        """Whether no event is left out."""
        return not (self.streams or self.kinds or self.rules or self.labels or self.since or self.until)

    def includes(self, body: Mapping[str, Any]) -> bool:
        """Return whether to show the event of a message. Times of messages sort as text."""
        return (
            (not self.streams or body["stream"] in self.streams)
            and (not self.kinds or body["kind"] in self.kinds)
            and (not self.rules or body["rule"] in self.rules)
            and (not self.labels or body["object"]["label"] in self.labels)
            and self.since <= body["at"]
            and (not self.until or body["at"] < self.until)
        )


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event that was written down.

    Attributes:
        body: its message.
        written_at: Unix time at which it was written.
    """

    body: dict[str, Any]
    written_at: float


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Events, the newest first.

    Attributes:
        events: the events.
        older: cursor of those before them; None if there are none.
        newer: cursor of those that come after them.
        trouble: why the newest events may be missing; None if they are not.
    """

    events: Sequence[PastEvent]
    older: str | None
    newer: str
    trouble: str | None
