"""What waits for the journal's thread: happenings, news of streams and rules, and looks into the file."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.core.events import Event, Occupancy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from framelane.events.disk import Newest
    from framelane.events.rules import Rule, RuleKey
    from framelane.telemetry.states import StateName

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class StreamNews:
    """A stream's new state; None if it was removed."""

    stream: str
    state: StateName | None


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker process ended without a word about the objects of these streams."""

    streams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewRules:
    """The rules of a new configuration."""

    rules: Mapping[RuleKey, Rule]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The daemon stops: nothing more happens."""

    done: threading.Event


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody wants to see the newest events between two rows, `most` of them; `found` gets what is there."""

    after_row: int
    before_row: int
    most: int
    found: Future[Newest | None]


Item = Event | Occupancy | StreamNews | WorkerLost | NewRules | Conclusion | Look


class Inbox:
    """A queue from any thread to the journal's. News always fits; events that find no room are dropped.

    The newest events are dropped: an object may then stay open, and is ended later. Dropping the oldest would
    end objects that never came. If counts find no room, the newest of each label is kept.
    """

    def __init__(self) -> None:
        self.news = threading.Event()
        self.dropped = 0
        """Events that were dropped."""
        self._lock = threading.Lock()
        self._items: deque[Item] = deque()
        self._counts: dict[tuple[str, str, str], Occupancy] = {}

    def happened(self, happenings: Sequence[Event | Occupancy]) -> None:
        """Add happenings."""
        with self._lock:
            room = max(_MOST - len(self._items), 0)
            self._items.extend(happenings[:room])
            for late in happenings[room:]:
                if isinstance(late, Event):
                    self.dropped += 1
                else:
                    self._counts[late.stream, late.zone, late.label] = late
        self.news.set()

    def lost(self, events: int) -> None:
        """Count events that were dropped before they came here."""
        with self._lock:
            self.dropped += events

    def add(self, item: StreamNews | WorkerLost | NewRules | Conclusion | Look) -> None:
        """Add news or a look."""
        with self._lock:
            self._items.append(item)
        self.news.set()

    def take(self, most: int) -> list[Item]:
        """Return the oldest items."""
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            if self._items:
                self.news.set()
            elif self._counts:
                taken += self._counts.values()
                self._counts.clear()
            return taken
