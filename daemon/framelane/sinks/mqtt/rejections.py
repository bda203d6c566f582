"""Counts the messages that a broker refuses, and logs each topic once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from framelane.core.clock import Clock

log = structlog.get_logger(__name__)

_FIRST_S = 3600.0
_MOST_S = 86_400.0
_MOST_TOPICS = 10_000


@dataclass(slots=True)
class _Topic:
    times: int = 0
    logged_s: float = 0.0
    wait_s: float = 0.0


class Rejections:
    """Messages that a broker refused.

    A topic is logged at once, then at intervals that double from an hour to a day.
    """

    def __init__(self, clock: Clock) -> None:
        self.count = 0
        self._clock = clock
        self._topics: dict[str, _Topic] = {}

    def add(self, topic: str, text: str) -> None:
        """Count a message that the broker refused, with the reason."""
        self.count += 1
        if topic not in self._topics and len(self._topics) >= _MOST_TOPICS:
            self._topics.clear()
        found = self._topics.setdefault(topic, _Topic())
        found.times += 1
        now_s = self._clock.monotonic()
        if found.wait_s and now_s - found.logged_s < found.wait_s:
            return
        found.logged_s, found.wait_s = now_s, min(max(found.wait_s * 2, _FIRST_S), _MOST_S)
        error = f"the broker did not take a message on {topic}: {text}"
        log.warning("sink_failed", sink="mqtt", reason="refused", error=error, times=found.times)
