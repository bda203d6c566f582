"""The retained messages of zones and lines: the newest of each topic, and which topics must be cleared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from framelane.events.facts import FactKey
from framelane.events.rules import RuleKey
from framelane.messages.events import ZoneState, cleared_message, line_message, zone_message
from framelane.messages.topics import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.core.clock import Clock
    from framelane.events.facts import Facts
    from framelane.messages.detections import Message
    from framelane.messages.events import LineState

_TOPIC = "topic"
# How long a start clears a topic again: the broker may not have got the first message.
_CLEARED_S = 7 * 86_400.0


class RetainedKey(NamedTuple):
    """A label of a rule, which has one retained topic."""

    rule: RuleKey
    label: str

    @property
    def fact(self) -> FactKey:
        """The fact that the topic is, or was, retained."""
        return FactKey(_TOPIC, (*self.rule, self.label))

    @property
    def cleared(self) -> Message:
        """The message that clears the topic."""
        return cleared_message(self.rule.kind, self.rule.stream, key_of(self.rule.name, self.label))


class Retained:
    """Makes retained messages, and remembers their topics. Used by the journal's thread.

    Args:
        facts: keeps the topics.
        node: this node's id.
        clock: for ages.
    """

    def __init__(self, facts: Facts, node: str, clock: Clock) -> None:
        self.states: dict[RetainedKey, ZoneState | LineState] = {}
        """The newest state of each topic. Other threads may copy it."""
        self._facts = facts
        self._node = node
        self._clock = clock

    def say(self, state: ZoneState | LineState) -> Message:
        """Return the message of a state."""
        key = key_of_state(state)
        if key not in self.states:
            self._facts.put(key.fact, None)
        self.states[key] = state
        return (
            zone_message(self._node, state)
            if isinstance(state, ZoneState)
            else line_message(self._node, state)
        )

    def clear(self, wanted: Callable[[RetainedKey], bool]) -> list[Message]:
        """Forget the topics that are no longer wanted; return the messages that clear them."""
        gone = [key for key in self.states if not wanted(key)]
        for key in gone:
            del self.states[key]
            self._facts.put(key.fact, self._clock.wall())
        return [key.cleared for key in gone]

    def load(
        self, stored: Mapping[FactKey, bytes], wanted: Callable[[RetainedKey], bool]
    ) -> tuple[list[RetainedKey], list[Message]]:
        """Take the topics that earlier runs retained; return those still wanted, and messages that clear others."""
        kept, cleared = [], []
        now = self._clock.wall()
        for fact, text in stored.items():
            if fact.kind != _TOPIC:
                continue
            *rule, label = fact.names
            key = RetainedKey(RuleKey.stored(*rule), label)
            if wanted(key):
                kept.append(key)
            elif clears_again(self._facts, fact, text, now):
                cleared.append(key.cleared)
        return kept, cleared


def clears_again(facts: Facts, fact: FactKey, text: bytes, now: float) -> bool:
    """Return whether what a fact says the broker retains must be cleared at this start; forget it after a week.

    Args:
        facts: notes since when it is gone.
        fact: the fact.
        text: since when, as JSON; null if it has just gone.
        now: Unix time in seconds.
    """
    gone_at: float | None = orjson.loads(text)
    if gone_at is not None and not 0 <= now - gone_at < _CLEARED_S:
        facts.drop(fact)
        return False
    facts.put(fact, now if gone_at is None else gone_at)
    return True


def key_of_state(state: ZoneState | LineState) -> RetainedKey:
    """Return the key of the topic that retains a state."""
    if isinstance(state, ZoneState):
        return RetainedKey(RuleKey(state.stream, "zones", state.zone), state.label)
    return RetainedKey(RuleKey(state.stream, "lines", state.line), state.label)
