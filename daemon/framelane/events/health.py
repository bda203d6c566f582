"""The health of the journal, for metrics and the node's status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class JournalHealth:
    """The health of the journal.

    Attributes:
        undelivered: events that the broker does not have.
        disk_bytes: size on disk.
        oldest_s: age of the oldest event on disk in seconds; None if there is none.
        trouble: why events or counters are not safe, in words; None while they are.
        dropped: events given up, by reason.
    """

    undelivered: int = 0
    disk_bytes: int = 0
    oldest_s: float | None = None
    trouble: str | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
