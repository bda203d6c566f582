"""Turns what rules find into events, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.analytics.rules.zones import IN, OUT
from framelane.core.events import Event, Occupancy, TrackedObject

if TYPE_CHECKING:
    from framelane.analytics.rules.book import RuleBook
    from framelane.analytics.rules.objects import ObjectState
    from framelane.analytics.rules.state import RuleState
    from framelane.analytics.tracker import Tracker
    from framelane.core.events import Direction, EndReason, EventKind
    from framelane.core.frames import ClockName

_BORDER = 0.02
"""Share of the frame within which a box touches the border."""


class Moment(NamedTuple):
    """A frame of a stream.

    Attributes:
        stream: id of the stream.
        run: the run of this process.
        object_prefix: of the ids of the stream's objects.
        at_s: time of the frame on the tracker's time line.
        unix_offset_s: Unix time minus that time.
        clock: what both rely on.
        width: in pixels.
        height: in pixels.
    """

    stream: str
    run: str
    object_prefix: str
    at_s: float
    unix_offset_s: float
    clock: ClockName
    width: int
    height: int


class Reporter:
    """Says what happened to objects, given by row and place in the table of tracks.

    Args:
        tracker: the tracks.
        book: the rules.
        objects: what is known of each object.
        state: what is remembered of each object and rule.
        model: the model's key.
    """

    def __init__(
        self, tracker: Tracker, book: RuleBook, objects: ObjectState, state: RuleState, model: str
    ) -> None:
        self.moments: dict[int, Moment] = {}
        """The newest frame of each row."""
        self.reason: EndReason | None = None
        """Why tracks end; None if because they are unseen."""
        self._tracker = tracker
        self._book = book
        self._objects = objects
        self._state = state
        self._model = model
        self._said: list[Event | Occupancy] = []
        # Per row, then per track id: events so far by rule and kind. An object is open if it has had a `new`.
        self._ordinals: dict[int, dict[int, dict[tuple[str | None, str], int]]] = {}
        self._open: dict[int, set[int]] = {}
        # Objects to update, and zones whose count may have changed.
        self._updates: dict[tuple[int, int], None] = {}
        self._counts: dict[tuple[int, int], None] = {}
        # Counts that were reported, by stream, zone and label.
        self._counted: dict[tuple[str, str], dict[str, int]] = {}

    def taken(self) -> list[Event | Occupancy]:
        """Return what was said since the last call."""
        said, self._said = self._said, []
        return said

    def forget(self, row: int) -> None:
        """Forget a row, whose objects have all ended."""
        moment = self.moments.pop(row, None)
        self._ordinals.pop(row, None)
        self._open.pop(row, None)
        if moment is not None:
            for key in [key for key in self._counted if key[0] == moment.stream]:
                del self._counted[key]

    def began(self, row: int, place: int) -> None:
        """Report a new object."""
        if self._book.pages[row].rules.objects and self._label(row, place):
            self._open.setdefault(row, set()).add(self._id(row, place))
            self._say(row, place, "new", float(self._objects.since_s.data[row, place]))

    def changed(self, row: int, place: int) -> None:
        """Note that something about an object is worth an update."""
        self._updates[row, place] = None

    def say_changed(self) -> None:
        """Report the objects that changed, once each."""
        for row, place in self._updates:
            if self._id(row, place) in self._open.get(row, ()):
                at_s = float(self._objects.at_s.data[row, place])
                self._objects.said(row, place, at_s)
                self._say(row, place, "update", at_s)
        self._updates.clear()

    def crossed(self, row: int, place: int, number: int, side: float, at_s: float) -> None:
        """Report that an object has crossed a line."""
        direction: Direction = "left" if side < 0 else "right"
        rule = self._book.pages[row].rules.rules[number].name
        self._say(row, place, "line", at_s, rule=rule, direction=direction)
        self.changed(row, place)

    def entered(self, row: int, place: int, number: int) -> None:
        """Report that an object has entered a zone."""
        self._visit(row, place, number, "zone_enter", self._state.first_s.data[number, row, place])

    def loiters(self, row: int, place: int, number: int) -> None:
        """Report that an object stays in a zone."""
        self._visit(row, place, number, "loiter", self._objects.at_s.data[row, place])

    def left(self, row: int, place: int, number: int) -> None:
        """Note that an object is out of a zone, and report it if it was in."""
        was_in = self._state.phase.data[number, row, place] == IN
        self._state.phase.data[number, row, place] = OUT
        if was_in:
            self._visit(row, place, number, "zone_exit", self._state.last_s.data[number, row, place])

    def leave_zone(self, row: int, number: int) -> None:
        """Let all objects leave a zone that is about to change."""
        for place in np.flatnonzero(self._state.phase.data[number, row, : self._tracker.table.counts[row]]):
            self.left(row, int(place), number)

    def ended(self, row: int, place: int) -> None:
        """Report that an object has ended, and has left the zones that it was in."""
        if not self._objects.announced.data[row, place]:
            return
        for number in np.flatnonzero(self._state.phase.data[:, row, place]):
            self.left(row, place, int(number))
        self._updates.pop((row, place), None)
        self.close(row, place)
        self._ordinals.get(row, {}).pop(self._id(row, place), None)

    def close(self, row: int, place: int) -> None:
        """Report the end of an object if its beginning was reported."""
        if self._id(row, place) in self._open.get(row, ()):
            reason = self.reason or ("left" if self._at_border(row, place) else "lost")
            self._say(row, place, "end", float(self._objects.at_s.data[row, place]), reason=reason)
            self._open[row].discard(self._id(row, place))

    def count_all(self, row: int) -> None:
        """Report the counts of all zones of a row."""
        for number, rule in enumerate(self._book.pages[row].rules.rules):
            if rule.zone:
                self._counted.pop((self.moments[row].stream, rule.name), None)
                self._counts[row, number] = None

    def count_changed(self) -> None:
        """Report the counts that have changed."""
        for row, number in self._counts:
            page = self._book.pages.get(row)
            if page is not None and number < len(page.rules.rules):
                self._count(row, number)
        self._counts.clear()

    def zones_of(self, row: int, place: int) -> tuple[str, ...]:
        """Return the names of the zones that an object is in."""
        rules = self._book.pages[row].rules.rules
        phases = self._state.phase.data[: len(rules), row, place].tolist()
        return tuple(rule.name for rule, phase in zip(rules, phases, strict=True) if phase == IN)

    def _count(self, row: int, number: int) -> None:
        rules, moment = self._book.pages[row].rules, self.moments[row]
        rule = rules.rules[number]
        places = np.flatnonzero(self._state.phase.data[number, row, : self._tracker.table.counts[row]] == IN)
        before = self._counted.setdefault((moment.stream, rule.name), {})
        named = rule.labels or ()
        now = dict.fromkeys((*(label for label in named if label in rules.labels), *before), 0)
        for place in places.tolist():
            label = self._label(row, place)
            now[label] = now.get(label, 0) + 1
        at = moment.at_s + moment.unix_offset_s
        for label, count in now.items():
            if before.get(label) != count:
                self._said.append(Occupancy(moment.stream, rule.name, label, count, at))
        self._counted[moment.stream, rule.name] = now

    def _visit(self, row: int, place: int, number: int, kind: EventKind, at_s: float) -> None:
        rule = self._book.pages[row].rules.rules[number].name
        since_s = None if kind == "zone_enter" else float(self._state.first_s.data[number, row, place])
        self._say(row, place, kind, float(at_s), rule=rule, since_s=since_s)
        self.changed(row, place)
        self._counts[row, number] = None

    def _say(
        self,
        row: int,
        place: int,
        kind: EventKind,
        at_s: float,
        *,
        rule: str | None = None,
        direction: Direction | None = None,
        since_s: float | None = None,
        reason: EndReason | None = None,
    ) -> None:
        moment = self.moments[row]
        ordinals = self._ordinals.setdefault(row, {}).setdefault(self._id(row, place), {})
        ordinal = ordinals[rule, kind] = ordinals.get((rule, kind), 0) + 1
        self._said.append(
            Event(
                moment.stream,
                moment.run,
                self._model,
                kind,
                self._object(row, place),
                at_s + moment.unix_offset_s,
                moment.clock,
                ordinal,
                rule,
                direction,
                None if since_s is None else since_s + moment.unix_offset_s,
                reason,
            )
        )

    def _object(self, row: int, place: int) -> TrackedObject:
        moment, track_id = self.moments[row], self._id(row, place)
        left, top, right, bottom = self._objects.box.data[:, row, place].tolist()
        return TrackedObject(
            f"{moment.object_prefix}/{track_id}",
            track_id,
            self._label(row, place),
            float(self._objects.confidence.data[row, place]),
            (left, top, right, bottom),
            moment.width,
            moment.height,
            float(self._objects.since_s.data[row, place]) + moment.unix_offset_s,
            bool(self._objects.stationary.data[row, place]),
            self.zones_of(row, place),
        )

    def _id(self, row: int, place: int) -> int:
        return int(self._tracker.id.data[row, place])

    def _label(self, row: int, place: int) -> str:
        """Return an object's label; empty if another model reports its class."""
        labels = self._book.pages[row].rules.labels
        class_id = int(self._tracker.class_id.data[row, place])
        return labels[class_id] if class_id < len(labels) else str(class_id)

    def _at_border(self, row: int, place: int) -> bool:
        page = self._book.pages[row]
        left, top, right, bottom = self._objects.box.data[:, row, place].tolist()
        wide, high = _BORDER * page.width, _BORDER * page.height
        return bool(left <= wide or top <= high or right >= page.width - wide or bottom >= page.height - high)
