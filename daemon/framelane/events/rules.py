"""The lines and zones of a configuration, as far as the journal counts for them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from framelane.config.sections.rules import LineConfig, ZoneConfig
    from framelane.config.sections.schema import Config
    from framelane.config.sections.stream import StreamConfig
    from framelane.core.events import Event

RuleKind = Literal["lines", "zones"]


class RuleKey(NamedTuple):
    """A line or zone of a stream."""

    stream: str
    kind: RuleKind
    name: str

    @staticmethod
    def of(event: Event) -> RuleKey | None:
        """Return the rule of an event; None if the event is about the object itself."""
        if event.rule is None:
            return None
        return RuleKey(event.stream, "lines" if event.kind == "line" else "zones", event.rule)

    @staticmethod
    def stored(stream: str, kind: str, name: str) -> RuleKey:
        """Return the rule that was stored under these names."""
        return RuleKey(stream, "lines" if kind == "lines" else "zones", name)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the journal must know of a line or zone.

    Attributes:
        digest: changes with the options, so that a changed rule starts a new epoch.
        labels: labels that it applies to; None for all of the stream.
        reset: local time of day at which its counters start again, as "HH:MM"; None for never.
    """

    digest: str
    labels: tuple[str, ...] | None
    reset: str | None

    def applies_to(self, label: str) -> bool:
        """Return whether objects of this label count."""
        return self.labels is None or label in self.labels


def rules_of(config: Config) -> dict[RuleKey, Rule]:
    """Return all rules, those of disabled streams too: their counters go on when the stream comes back."""
    return {key: rule for stream in config.streams for key, rule in _rules(stream)}


def has_events(config: Config) -> bool:
    """Return whether any stream may have events."""
    return any(stream.track and stream.event_options is not None for stream in config.streams)


def _rules(stream: StreamConfig) -> list[tuple[RuleKey, Rule]]:
    options = stream.event_options
    reset = None if options is None else options.reset
    lines = [(RuleKey(stream.id, "lines", name), _rule(line, reset)) for name, line in stream.lines.items()]
    zones = [(RuleKey(stream.id, "zones", name), _rule(zone, reset)) for name, zone in stream.zones.items()]
    return lines + zones


def _rule(section: LineConfig | ZoneConfig, reset: str | None) -> Rule:
    # Without defaults, so that an option of a later version changes nothing.
    text = section.model_dump_json(exclude_defaults=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    labels = None if section.classes is None else tuple(dict.fromkeys(section.classes))
    return Rule(digest, labels, reset)
