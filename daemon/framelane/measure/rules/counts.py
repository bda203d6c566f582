"""How often each rule fired, in words and beside the truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.sections.stream import StreamConfig
    from framelane.core.events import Event


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often something happened at a rule.

    Attributes:
        rule: the rule's name.
        zone: whether it is a zone.
        what: of a line `left` or `right`, of a zone `zone_enter` or `loiter`.
        count: how often.
        labels: how often per label.
        true: how often it happened to true objects; None without ground truth.
    """

    rule: str
    zone: bool
    what: str
    count: int
    labels: dict[str, int]
    true: int | None

    @property
    def error(self) -> int | None:
        """Count minus truth."""
        return None if self.true is None else self.count - self.true


def count_rules(
    config: StreamConfig, events: Sequence[Event], true: Sequence[Event] | None = None
) -> tuple[RuleCount, ...]:
    """Return how often each rule of a stream fired, those that never did included.

    Args:
        config: the stream.
        events: what happened.
        true: what happened to true objects, if that is known.
    """
    wanted = [(name, False, side) for name in config.lines for side in ("left", "right")]
    for name, zone in config.zones.items():
        wanted += [
            (name, True, what) for what in ("zone_enter", "loiter")[: 1 if zone.loiter_s is None else 2]
        ]
    labels = Counter((*_key(event), event.object.label) for event in events)
    really = None if true is None else Counter(map(_key, true))
    counts = []
    for key in wanted:
        own = {found[-1]: count for found, count in sorted(labels.items()) if found[:-1] == key}
        counts.append(RuleCount(*key, sum(own.values()), own, None if really is None else really[key]))
    return tuple(counts)


def _key(event: Event) -> tuple[str, bool, str]:
    """Return rule, whether it is a zone, and what happened."""
    if event.kind == "line":
        return event.rule or "", False, event.direction or ""
    return event.rule or "", True, event.kind
