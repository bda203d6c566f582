"""The daemon with a note of its events: `python -m lab.event_source CONFIG TAKEN [--invent]`.

It is `framelane run CONFIG`. Before the journal gets an event, the event's time and id are appended to the file
TAKEN. With --invent, a thread gives the journal what rules would: objects that come, cross the line `street`, enter
and leave the zone `yard`, and go.
"""

from __future__ import annotations

import os
import random
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from framelane.cli import main as framelane
from framelane.core.events import Event, TrackedObject
from framelane.core.worker import Worker
from framelane.events.journal import EventJournal
from framelane.messages.events import event_id
from framelane.node.node import Node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.core.events import Direction, EventKind, Occupancy

NODE = "soak"
STREAMS = ("gate", "yard")
_EVERY_S = 0.01
_COME, _GO, _MOVE = 0.4, 0.05, 0.3
"""Chances per object and turn."""
_LABELS = ("person", "car")


class EventSource(Worker):
    """Invents events, one turn after another.

    Args:
        node: whose journal gets them.
    """

    def __init__(self, node: Node) -> None:
        super().__init__("event-source")
        self._node = node
        self._dice = random.Random()  # noqa: S311 - no secret
        self._numbers = 0
        self._ordinals: dict[tuple[str, str], int] = {}
        self._there: dict[str, list[TrackedObject]] = {stream: [] for stream in STREAMS}

    def run_once(self) -> None:
        """Let something happen on each stream, and wait a moment."""
        for stream in STREAMS:
            events = self._turn(stream)
            if events:
                self._node.journal.take(events)
        self.stopping.wait(_EVERY_S)

    def _turn(self, stream: str) -> list[Event]:
        there, events = self._there[stream], []
        if self._dice.random() < _COME:
            there.append(self._comer(stream))
            events.append(self._event(stream, there[-1], "new"))
        for seen in list(there):
            if self._dice.random() < _MOVE:
                events.append(self._move(stream, seen))
            if self._dice.random() < _GO:
                there.remove(seen)
                events.append(replace(self._event(stream, seen, "end"), reason="left"))
        return events

    def _comer(self, stream: str) -> TrackedObject:
        self._numbers += 1
        return TrackedObject(
            id=f"soak/{stream}/{self._node.run}/{self._numbers}",
            track_id=self._numbers,
            label=self._dice.choice(_LABELS),
            confidence=0.9,
            xyxy=(10.0, 20.0, 30.0, 40.0),
            width=640,
            height=480,
            since=time.time(),
            stationary=False,
            zones=(),
        )

    def _move(self, stream: str, seen: TrackedObject) -> Event:
        kind: EventKind = self._dice.choice(("line", "line", "zone_enter", "zone_exit", "update"))
        if kind == "update":
            return self._event(stream, seen, kind)
        direction: Direction | None = None
        if kind == "line":
            direction = self._dice.choice(("left", "right"))
        rule = "street" if kind == "line" else "yard"
        return replace(self._event(stream, seen, kind), rule=rule, direction=direction)

    def _event(self, stream: str, seen: TrackedObject, kind: EventKind) -> Event:
        key = seen.id, kind
        ordinal = self._ordinals[key] = self._ordinals.get(key, 0) + 1
        return Event(stream, self._node.run, "null", kind, seen, time.time(), "receive", ordinal)


def main() -> None:
    """Run the daemon; notes come first, and a source starts after it."""
    config, taken, *options = sys.argv[1:]
    _note_events(os.open(taken, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644))
    if options:
        start = Node.start

        def start_both(node: Node) -> None:
            start(node)
            EventSource(node).start()

        Node.start = start_both  # type: ignore[assignment,method-assign] # the source needs the running node
    sys.argv = ["framelane", "run", config]
    framelane()


def _note_events(descriptor: int) -> None:
    take = EventJournal.take

    def note_and_take(journal: EventJournal, happenings: Sequence[Event | Occupancy]) -> None:
        events = (each for each in happenings if isinstance(each, Event))
        lines = [f"{time.time():.6f} {event_id(NODE, event)}\n" for event in events]
        os.write(descriptor, "".join(lines).encode())
        take(journal, happenings)

    EventJournal.take = note_and_take  # type: ignore[assignment,method-assign] # all events pass here


if __name__ == "__main__":
    main()
