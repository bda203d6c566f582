"""Counters per rule, label and direction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from framelane.events.facts import FactKey
from framelane.events.rules import RuleKey
from framelane.messages.events import Count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from framelane.core.clock import Clock
    from framelane.core.events import Event
    from framelane.events.facts import Facts
    from framelane.events.rules import Rule

_RULE, _TOTAL = "rule", "total"


class Side(NamedTuple):
    """What is counted of a rule: a direction of a line, or a kind of event of a zone; and a label."""

    what: str
    label: str


class Counters:
    """All counters, and the epochs of their rules. Used by the journal's thread.

    Args:
        facts: keeps them.
        clock: says when an epoch begins.
    """

    def __init__(self, facts: Facts, clock: Clock) -> None:
        self.rules: Mapping[RuleKey, Rule] = {}
        self._facts = facts
        self._clock = clock
        self._epochs: dict[RuleKey, float] = {}
        self._totals: dict[RuleKey, dict[Side, int]] = {}
        self._changed: dict[RuleKey, None] = {}

    def configure(self, rules: Mapping[RuleKey, Rule]) -> None:
        """Use these rules from now on. New and changed ones start an epoch; the state of others is kept."""
        before, self.rules = self.rules, rules
        for key in before.keys() - rules.keys():
            self._forget(key)
        for key, rule in rules.items():
            known = before.get(key)
            if known is None or known.digest != rule.digest:
                self._begin(key, self._clock.wall())
            elif known != rule:
                self._changed[key] = None

    def load(self, stored: Mapping[FactKey, bytes]) -> None:
        """Continue the counters on disk whose rules are unchanged."""
        kept = set()
        for key, fact, value in _stored_rules(stored):
            if key in self.rules and self.rules[key].digest == value["digest"]:
                self._epochs[key] = value["epoch"]
                kept.add(key)
            elif key not in self.rules:
                self._facts.drop(fact)
        for fact, text in stored.items():
            if fact.kind == _TOTAL:
                stream, kind, name, what, label = fact.names
                self._go_on(
                    fact, RuleKey.stored(stream, kind, name), Side(what, label), orjson.loads(text), kept
                )
        for key in self.rules:
            self._remember(key)

    def count(self, event: Event) -> Count | None:
        """Count an event; return its counter, or None if it has no rule, or none that still exists."""
        key = RuleKey.of(event)
        rule = None if key is None else self.rules.get(key)
        if key is None or rule is None or not rule.applies_to(event.object.label):
            return None
        side = Side(event.direction or event.kind, event.object.label)
        total = self._totals[key].get(side, 0) + 1
        self._put(key, side, total)
        return Count(total, self._epochs[key])

    def reset_due(self) -> None:
        """Start a new epoch for each rule whose time of day has come since its last one began."""
        now = self._clock.wall()
        last: dict[str, float] = {}
        for key, rule in self.rules.items():
            if rule.reset is not None:
                at = last.setdefault(rule.reset, last_reset(rule.reset, now))
                if self._epochs[key] < at:
                    self._begin(key, at)

    def epoch(self, key: RuleKey) -> float:
        """Return when the counters of a rule began."""
        return self._epochs[key]

    def total(self, key: RuleKey, side: Side) -> int:
        """Return a counter."""
        return self._totals[key].get(side, 0)

    def labels(self, key: RuleKey) -> list[str]:
        """Return the labels of a rule that have counters: all that it names, or those that came."""
        named = self.rules[key].labels
        return list(named if named is not None else dict.fromkeys(side.label for side in self._totals[key]))

    def changed(self) -> list[RuleKey]:
        """Return the rules whose counters are new since the last call."""
        changed, self._changed = [key for key in self._changed if key in self.rules], {}
        return changed

    def _begin(self, key: RuleKey, at: float) -> None:
        known = self._totals.get(key, {})
        self._forget(key)
        self._epochs[key], self._totals[key] = at, {}
        # What has been counted is still shown, from 0.
        for side in known:
            if self.rules[key].applies_to(side.label):
                self._put(key, side, 0)
        self._remember(key)

    def _remember(self, key: RuleKey) -> None:
        value = {"digest": self.rules[key].digest, "epoch": self._epochs[key]}
        self._facts.put(FactKey(_RULE, (*key,)), value)
        self._changed[key] = None

    def _forget(self, key: RuleKey) -> None:
        for side in self._totals.pop(key, {}):
            self._facts.drop(FactKey(_TOTAL, (*key, *side)))
        self._facts.drop(FactKey(_RULE, (*key,)))

    def _go_on(self, fact: FactKey, key: RuleKey, side: Side, total: int, kept: set[RuleKey]) -> None:
        """Add a stored counter to what this process has counted before it could read the disk."""
        if key in kept:
            self._put(key, side, total + self._totals[key].get(side, 0))
        elif key not in self.rules or side not in self._totals[key]:
            self._facts.drop(fact)

    def _put(self, key: RuleKey, side: Side, total: int) -> None:
        self._totals[key][side] = total
        self._facts.put(FactKey(_TOTAL, (*key, *side)), total)
        self._changed[key] = None


def last_reset(time_of_day: str, now: float) -> float:
    """Return the Unix time at which the local clock last showed this time of day ("HH:MM"), at or before now."""
    hour, minute = map(int, time_of_day.split(":"))
    today = datetime.fromtimestamp(now)  # noqa: DTZ006 - local time is meant
    at = today.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    return at.timestamp() if at.timestamp() <= now else (at - timedelta(days=1)).timestamp()


def _stored_rules(stored: Mapping[FactKey, bytes]) -> Iterator[tuple[RuleKey, FactKey, dict[str, Any]]]:
    for fact, text in stored.items():
        if fact.kind == _RULE:
            yield RuleKey.stored(*fact.names), fact, orjson.loads(text)
