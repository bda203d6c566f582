"""What has happened, as consumers see it: events with their counts, and the states of zones and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from framelane.events.counters import Counters, Side
from framelane.events.facts import Facts
from framelane.events.objects import OpenObjects
from framelane.events.occupancy import Occupancies, ZoneKey
from framelane.events.onvif import OnvifTopics
from framelane.events.retained import Retained, key_of_state
from framelane.messages.events import LineState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from framelane.core.clock import Clock
    from framelane.core.events import EndReason, Event, Occupancy
    from framelane.events.facts import FactKey
    from framelane.events.retained import RetainedKey
    from framelane.events.rules import Rule, RuleKey
    from framelane.messages.detections import Message
    from framelane.messages.events import Count, ZoneState
    from framelane.telemetry.states import StateName


class Counted(NamedTuple):
    """An event to publish, and its counter after it; None if it counts nothing."""

    event: Event
    counter: Count | None


class Ledger:
    """Applies what happens to counters, open objects and occupancies. Used by the journal's thread.

    Args:
        node: this node's id.
        rules: the rules of the configuration.
        clock: for time stamps.
        onvif: whether zones and lines have ONVIF properties too.
    """

    def __init__(
        self, node: str, rules: Mapping[RuleKey, Rule], clock: Clock, *, onvif: bool = False
    ) -> None:
        self.facts = Facts()
        """What must be on disk before events and states are passed on."""
        self.retained = Retained(self.facts, node, clock)
        self._onvif = OnvifTopics(self.facts, node, clock, enabled=onvif)
        self._clock = clock
        self._counters = Counters(self.facts, clock)
        self._objects = OpenObjects(self.facts)
        self._occupancies = Occupancies(clock)
        self._counted: list[Counted] = []
        self._cleared: list[Message] = []
        self.configure(rules)

    def load(self, stored: Mapping[FactKey, bytes]) -> None:
        """Continue from what earlier runs left on disk; end their objects."""
        self.facts.load(stored)
        self._counters.load(stored)
        kept, cleared = self.retained.load(stored, self._wanted)
        for key in kept:
            if key.rule.kind == "zones":
                self._occupancies.learn(ZoneKey(key.rule.stream, key.rule.name, key.label))
        self._cleared += cleared
        self._cleared += self._onvif.load(stored, self._wanted)
        self._end(self._objects.load(stored))

    def configure(self, rules: Mapping[RuleKey, Rule]) -> None:
        """Use these rules from now on."""
        self._counters.configure(rules)
        self._occupancies.configure(rules)
        self._cleared += self.retained.clear(self._wanted)

    def take(self, event: Event) -> None:
        """Apply an event."""
        self._end(self._objects.ends_of_others(event.stream, event.run))
        if self._objects.take(event):
            self._counted.append(Counted(event, self._counters.count(event)))

    def occupied(self, occupancy: Occupancy) -> None:
        """Apply a count of a zone."""
        self._occupancies.take(occupancy)

    def stream_changed(self, stream: str, state: StateName | None) -> None:
        """Note a stream's state; None if it was removed."""
        self._occupancies.stream_changed(stream, state or "down")
        if state is None:
            self._occupancies.forget(stream)

    def end_objects(self, reason: EndReason, streams: Iterable[str] | None = None) -> None:
        """End all open objects, or those of some streams."""
        self._end(self._objects.ends(reason, None if streams is None else list(streams)))

    def hide_occupancies(self) -> None:
        """Note that no count of a zone is known any more."""
        self._occupancies.hide_all()

    def tick(self) -> None:
        """Do what depends on time alone; call at least every second."""
        self._counters.reset_due()
        self._occupancies.tick()

    def counted(self) -> list[Counted]:
        """Return the events to publish since the last call."""
        counted, self._counted = self._counted, []
        return counted

    def news(self, *, known: bool, all_lines: bool = False) -> list[Message]:
        """Return the retained messages that are new since the last call.

        Args:
            known: whether counters are known.
            all_lines: whether to repeat those of all lines.
        """
        changed = self._counters.changed()
        lines = self._counters.rules if all_lines else changed
        cleared, self._cleared = self._cleared, []
        return [
            *cleared,
            *(self._say(state) for state in self._occupancies.changed()),
            *(self._say(state) for key in lines for state in self._line_states(key, known=known)),
        ]

    def _say(self, state: ZoneState | LineState) -> Message:
        self._onvif.said(key_of_state(state))
        return self.retained.say(state)

    def _end(self, ends: Iterable[Event]) -> None:
        for event in ends:
            if self._objects.take(event):
                self._counted.append(Counted(event, None))

    def _line_states(self, key: RuleKey, *, known: bool) -> list[LineState]:
        if key.kind != "lines":
            return []
        counters, now = self._counters, self._clock.wall()
        return [
            LineState(
                key.stream,
                key.name,
                label,
                counters.total(key, Side("left", label)) if known else None,
                counters.total(key, Side("right", label)) if known else None,
                counters.epoch(key) if known else None,
                now,
            )
            for label in counters.labels(key)
        ]

    def _wanted(self, key: RetainedKey) -> bool:
        """Return whether a label of a rule still has a retained message."""
        rule = self._counters.rules.get(key.rule)
        if rule is None or not rule.applies_to(key.label):
            return False
        return key.rule.kind == "zones" or key.label in self._counters.labels(key.rule)
