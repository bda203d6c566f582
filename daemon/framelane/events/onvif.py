"""Remembers which ONVIF properties the broker may retain, and deletes them once `onvif.enabled` is false."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.events.facts import FactKey
from framelane.events.retained import RetainedKey, clears_again
from framelane.events.rules import RuleKey
from framelane.messages.onvif.properties import deletions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.core.clock import Clock
    from framelane.events.facts import Facts
    from framelane.messages.detections import Message

_ONVIF = "onvif"


class OnvifTopics:
    """The topics of zones and lines that also have ONVIF properties. Used by the journal's thread.

    Args:
        facts: keeps them.
        node: this node's id.
        clock: for ages.
        enabled: whether properties are published.
    """

    def __init__(self, facts: Facts, node: str, clock: Clock, *, enabled: bool) -> None:
        self._facts = facts
        self._node = node
        self._clock = clock
        self._enabled = enabled
        self._noted: set[FactKey] = set()

    def said(self, key: RetainedKey) -> None:
        """Note that a topic was published."""
        fact = FactKey(_ONVIF, (*key.rule, key.label))
        if self._enabled and fact not in self._noted:
            self._noted.add(fact)
            self._facts.put(fact, None)

    def load(self, stored: Mapping[FactKey, bytes], wanted: Callable[[RetainedKey], bool]) -> list[Message]:
        """Take what earlier runs published; return the messages that delete it if nothing is published any more.

        While properties are published, those of a rule that is gone are deleted with its topic.
        """
        deleted: list[Message] = []
        for fact, text in stored.items():
            if fact.kind != _ONVIF:
                continue
            *rule, label = fact.names
            key = RetainedKey(RuleKey.stored(*rule), label)
            if self._enabled and wanted(key):
                self.said(key)
            elif self._enabled:
                self._facts.drop(fact)
            elif clears_again(self._facts, fact, text, self._clock.wall()):
                deleted += deletions(key.cleared, self._node)
        return deleted
