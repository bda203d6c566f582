"""Applies rules to tracks: what objects do becomes events."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from framelane.analytics.rules import lines, zones
from framelane.analytics.rules.book import Page, RuleBook
from framelane.analytics.rules.objects import ObjectState
from framelane.analytics.rules.pairs import Measured, near, pairs_of
from framelane.analytics.rules.reporter import Reporter
from framelane.analytics.rules.state import RuleState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        if before is None:
            self._adopt(row, moment.at_s)
            self._state.renumber(row, [None] * len(rules.rules))
        elif before != page:
            self._change(row, before.rules, rules)
        else:
            return
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
        ours = rules.has_page[tracked.rows]
        index, detection = np.nonzero((tracked.places >= 0) & ours[:, None])
        row, place = tracked.rows[index], tracked.places[index, detection]
        if len(index):
            measured = self._measured(row, place, tracked.found.xyxy[:, index, detection])
            self._apply(measured, tracked.found.confidence[index, detection], rules)
        if rules.zone.any():
            self._leave_zones(tracked.rows, rules)
        self._report.say_changed()
        return self._zones(row, place, index, detection)

    def ending(self, rows: Indices, ending: Flags) -> None:
        """See TrackWatcher."""
        for index, place in zip(*(part.tolist() for part in np.nonzero(ending)), strict=True):
            if int(rows[index]) in self._book.pages:
                self._report.ended(int(rows[index]), place)

    def _zones(
        self, row: Indices, place: Indices, index: Indices, detection: Indices
    ) -> dict[tuple[int, int], tuple[str, ...]]:
        """Return the zones of measured objects, by observation and detection."""
        found: dict[tuple[int, int], tuple[str, ...]] = {}
        within, number = np.nonzero((self._state.phase.data[:, row, place] == zones.IN).T)
        for each, observation, seen, rule in zip(
            row[within].tolist(),
            index[within].tolist(),
            detection[within].tolist(),
            number.tolist(),
            strict=True,
        ):
            name = self._book.pages[each].rules.rules[rule].name
            found[observation, seen] = (*found.get((observation, seen), ()), name)
        return found

    def _adopt(self, row: int, at_s: float) -> None:
        """Begin with the tracks that a stream already has."""
        places = np.arange(self._tracker.table.counts[row])
        rows = np.full(len(places), row)
        self._objects.begin(rows, places, np.full(len(places), at_s))
        self._state.clear(rows, places)

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

    def _measured(self, row: Indices, place: Indices, box: NDArray[np.float64]) -> Measured:
        at_s = self._tracker.at_s.data[row, place]
        fresh = self._tracker.hits.data[row, place] == 1
        self._objects.begin(row[fresh], place[fresh], at_s[fresh])
        self._state.clear(row[fresh], place[fresh])
        return Measured(
            row,
            place,
            at_s,
            box,
            self._tracker.class_id.data[row, place],
            self._objects.at_s.data[row, place],
            self._objects.box.data[:, row, place],
        )

    def _apply(self, measured: Measured, confidence: NDArray[np.float64], rules: Rules) -> None:
        changes = self._objects.observe(measured, confidence, rules)
        for index in changes.new.tolist():
            self._report.began(int(measured.row[index]), int(measured.place[index]))
        if len(rules.zone):
            pairs = pairs_of(measured, rules)
            close, of_zone = near(pairs, rules), rules.zone[pairs.rule]
            lines.forget(pairs.select(~of_zone & ~close), self._state)
            self._apply_lines(pairs.select(~of_zone & close), rules)
            self._apply_zones(pairs.select(of_zone & (close | zones.known(pairs, self._state))), rules)
        for index in changes.updated.tolist():
            self._report.changed(int(measured.row[index]), int(measured.place[index]))

    def _apply_lines(self, pairs: Pairs, rules: Rules) -> None:
        if len(pairs.rule):
            crossed = lines.observe(pairs, rules, self._state)
            for index, side, at_s in zip(*(each.tolist() for each in crossed), strict=True):
                self._report.crossed(*pairs.key(index), side, at_s)

    def _apply_zones(self, pairs: Pairs, rules: Rules) -> None:
        if len(pairs.rule):
            visits = zones.observe(pairs, rules, self._state)
            for index in visits.entered.tolist():
                self._report.entered(*pairs.key(index))
            for index in visits.loitering.tolist():
                self._report.loiters(*pairs.key(index))

    def _leave_zones(self, rows: Indices, rules: Rules) -> None:
        """Let objects leave that have been outside or unseen for long enough."""
        rows = rows[rules.counts[rows] > 0]
        counts = self._tracker.table.counts[rows]
        most = int(counts.max(initial=0))
        if not most:
            return
        at_s = np.array([self._report.moments[row].at_s for row in rows.tolist()])
        out = zones.overdue(rows, at_s, most, rules.exit_s, self._state)
        out &= np.arange(most) < counts[:, None]
        # One that stands still and is hidden keeps its place.
        hidden = self._objects.at_s.data[rows, :most] < at_s[:, None]
        out &= ~(self._objects.stationary.data[rows, :most] & hidden)
        for number, index, place in zip(*(part.tolist() for part in np.nonzero(out)), strict=True):
            self._report.left(int(rows[index]), place, number)
