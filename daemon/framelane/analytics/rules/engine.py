"""Applies rules to tracks: what objects do becomes events."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from framelane.analytics.rules import lines, zones
from framelane.analytics.rules.book import Page, RuleBook
from framelane.analytics.rules.objects import ObjectState
from framelane.analytics.rules.pairs import Measured, candidates, near
from framelane.analytics.rules.reporter import Reporter
from framelane.analytics.rules.state import RuleState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from framelane.analytics.rules.book import Rules
    from framelane.analytics.rules.pairs import Pairs
    from framelane.analytics.rules.reporter import Moment
    from framelane.analytics.rules.ruleset import RuleSet
    from framelane.analytics.tracker import Tracked, Tracker
    from framelane.core.events import EndReason, Event, Occupancy

    Indices = NDArray[np.intp]
    Flags = NDArray[np.bool_]


class RuleEngine:
    """Lines, zones and objects of all streams of one model. One thread at a time.

    Args:
        tracker: the tracks; told to keep stationary objects.
        model: the model's key.
    """

    def __init__(self, tracker: Tracker, model: str) -> None:
        self._tracker = tracker
        self._book = RuleBook()
        self._objects = ObjectState(tracker)
        self._state = RuleState(tracker.table)
        self._report = Reporter(tracker, self._book, self._objects, self._state, model)
        tracker.watcher = self

    def follow(self, stream: str, rules: RuleSet, moment: Moment) -> None:
        """Use these rules for a stream from this frame on; rules that did not change keep their state.

        Args:
            stream: the stream.
            rules: its rules.
            moment: its frame.
        """
        row = self._tracker.table.row(stream)
        before = self._book.pages.get(row)
        self._report.moments[row] = moment
        page = Page(rules, moment.width, moment.height)
        if before == page:
            return
        if before is None:
            self._adopt(row, moment.at_s)
            self._state.renumber(row, [None] * len(rules.rules))
        else:
            self._change(row, before.rules, rules)
        self._book.write(row, page)
        self._report.count_all(row)

    def leave(self, stream: str) -> None:
        """Use no rules for a stream from now on. Its objects end, its tracks go on."""
        row = self._tracker.table.find(stream)
        if row is not None and row in self._book.pages:
            self._each_because("stream", row, self._report.ended)
            self._objects.release(row)
            self._forget(row)

    def end(self, stream: str, reason: EndReason) -> None:
        """End all tracks of a stream."""
        with self._because(reason):
            self._tracker.end(stream)

    def remove(self, stream: str, reason: EndReason) -> None:
        """End all tracks of a stream, and forget it."""
        self.end(stream, reason)
        row = self._tracker.table.find(stream)
        if row is not None:
            self._forget(row)
            self._tracker.remove(stream)

    def recount(self, stream: str) -> None:
        """Report how many objects are in each zone of a stream, as after its camera was opened again."""
        row = self._tracker.table.find(stream)
        if row is not None and row in self._book.pages:
            self._report.count_all(row)

    def learned(self, stream: str, tracks: Sequence[int]) -> None:
        """Note that more is known of objects, given by their track ids; their next update says so."""
        row = self._tracker.table.find(stream) if tracks else None
        if row is not None and row in self._book.pages:
            ids = self._tracker.id.data[row, : self._tracker.table.counts[row]]
            for place in np.flatnonzero(np.isin(ids, tracks)).tolist():
                self._report.changed(row, place)

    def taken(self) -> list[Event | Occupancy]:
        """Return what has happened since the last call, in order."""
        self._report.count_changed()
        return self._report.taken()

    def update(self, tracked: Tracked) -> dict[tuple[int, int], tuple[str, ...]]:
        """Apply the rules to a batch.

        Returns:
            The names of the zones that a detection is in, by observation and detection; nothing for those in none.
        """
        if not self._book.pages:
            return {}
        rules = self._book.rules(len(self._tracker.table.counts))
        measured = self._measured(tracked, rules)
        if measured is not None:
            self._apply(measured, rules)
        has_zones = bool(rules.zone.any())
        if has_zones:
            self._leave_zones(tracked, rules)
        self._report.say_changed()
        if measured is None or not has_zones:
            return {}
        return self._zones(measured, rules, tracked.places.shape[1])

    def ending(self, rows: Indices, ending: Flags) -> None:
        """See TrackWatcher."""
        for index, place in zip(*(part.tolist() for part in np.nonzero(ending)), strict=True):
            if int(rows[index]) in self._book.pages:
                self._report.ended(int(rows[index]), place)

    def _zones(self, measured: Measured, rules: Rules, width: int) -> dict[tuple[int, int], tuple[str, ...]]:
        """Return the zones of measured objects, by observation and detection; `width` detections per observation."""
        most = len(rules.exit_s)
        phase = self._state.phase.by_track[:most].take(measured.at, axis=1)
        within = (phase.T == zones.IN).ravel().nonzero()[0]
        each = within // most
        rule = rules.start.take(measured.row.take(each)) + within - each * most
        found: dict[tuple[int, int], tuple[str, ...]] = {}
        for place, index in zip(measured.seen.take(each).tolist(), rule.tolist(), strict=True):
            key = divmod(place, width)
            found[key] = (*found.get(key, ()), rules.names[index])
        return found

    def _adopt(self, row: int, at_s: float) -> None:
        """Begin with the tracks that a stream already has."""
        places = np.arange(self._tracker.table.counts[row])
        at = self._tracker.table.at(np.full(len(places), row), places)
        self._objects.begin(at, np.full(len(places), at_s))
        self._state.clear(at)

    def _change(self, row: int, before: RuleSet, after: RuleSet) -> None:
        """Take over the state of the rules that did not change."""
        numbers = {rule: number for number, rule in enumerate(before.rules)}
        for rule, number in numbers.items():
            if rule.zone and rule not in after.rules:
                self._report.leave_zone(row, number)
        self._report.say_changed()
        if before.objects and not after.objects:
            self._each_because("stream", row, self._report.close)
        elif after.objects and not before.objects:
            self._objects.announced.data[row] = False
        self._state.renumber(row, [numbers.get(rule) for rule in after.rules])

    def _each_because(self, reason: EndReason, row: int, report: Callable[[int, int], None]) -> None:
        """Report each track of a row."""
        with self._because(reason):
            for place in range(int(self._tracker.table.counts[row])):
                report(row, place)

    @contextmanager
    def _because(self, reason: EndReason) -> Iterator[None]:
        """Give this reason for what ends meanwhile."""
        self._report.reason = reason
        yield
        self._report.reason = None

    def _forget(self, row: int) -> None:
        self._report.forget(row)
        self._book.tear(row)

    def _measured(self, tracked: Tracked, rules: Rules) -> Measured | None:
        """Return what the batch has measured of objects whose streams have rules; None if nothing."""
        places, tracker = tracked.places, self._tracker
        seen = ((places >= 0) & rules.has_page.take(tracked.rows)[:, None]).ravel().nonzero()[0]
        if not len(seen):
            return None
        row, place = tracked.rows.take(seen // places.shape[1]), places.take(seen)
        at = tracker.table.at(row, place)
        at_s, hits = tracker.at_s.flat.take(at), tracker.hits.flat.take(at)
        fresh = (hits == 1).nonzero()[0]
        if len(fresh):
            self._objects.begin(at[fresh], at_s[fresh])
            self._state.clear(at[fresh])
        boxes = np.empty((2, 4, len(at)))
        boxes[0] = self._objects.box.by_track.take(at, axis=1)
        boxes[1] = tracked.found.xyxy.reshape(4, -1).take(seen, axis=1)
        return Measured(
            seen,
            row,
            place,
            at,
            at_s,
            boxes,
            boxes[:, 2:] - boxes[:, :2],
            tracked.found.confidence.take(seen),
            tracker.class_id.flat.take(at),
            hits,
            self._objects.at_s.flat.take(at),
        )

    def _apply(self, measured: Measured, rules: Rules) -> None:
        changes = self._objects.observe(measured, rules)
        for index in changes.new.tolist():
            self._report.began(int(measured.row[index]), int(measured.place[index]))
        if len(rules.zone):
            pairs = candidates(measured, rules, self._state)
            of_zone = rules.zone.take(pairs.rule)
            self._apply_lines(measured, pairs.select((~of_zone).nonzero()[0]), rules)
            self._apply_zones(measured, pairs.select(of_zone.nonzero()[0]), rules)
        for index in changes.updated.tolist():
            self._report.changed(int(measured.row[index]), int(measured.place[index]))

    def _apply_lines(self, measured: Measured, pairs: Pairs, rules: Rules) -> None:
        if not len(pairs):
            return
        close = near(pairs, rules) | lines.crossing(pairs, self._state)
        lines.forget(pairs.at[~close], self._state)
        pairs = pairs.select(close.nonzero()[0])
        if len(pairs):
            crossed = lines.observe(pairs, rules, self._state)
            for index, side, at_s in zip(*(each.tolist() for each in crossed), strict=True):
                self._report.crossed(*_key(measured, pairs, index), side, at_s)

    def _apply_zones(self, measured: Measured, pairs: Pairs, rules: Rules) -> None:
        if len(pairs):
            visits = zones.observe(pairs, rules, self._state)
            for index in visits.entered.tolist():
                self._report.entered(*_key(measured, pairs, index))
            for index in visits.loitering.tolist():
                self._report.loiters(*_key(measured, pairs, index))

    def _leave_zones(self, tracked: Tracked, rules: Rules) -> None:
        """Let objects leave that have been outside or unseen for long enough."""
        counts = self._tracker.table.counts[tracked.rows]
        most = int(counts.max(initial=0))
        for number, index, place in zones.overdue(tracked.rows, tracked.at_s, most, rules, self._state):
            row = int(tracked.rows[index])
            # One that stands still and is hidden keeps its place.
            hidden = self._objects.at_s.data[row, place] < tracked.at_s[index]
            if place < counts[index] and not (hidden and self._objects.stationary.data[row, place]):
                self._report.left(row, place, number)


def _key(measured: Measured, pairs: Pairs, index: int) -> tuple[int, int, int]:
    """Return the row and place of a pair's object, and the number of its rule."""
    each = pairs.object[index]
    return int(measured.row[each]), int(measured.place[each]), int(pairs.number[index])
