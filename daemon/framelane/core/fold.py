"""Folds repeated log lines: the longer a fault lasts, the fewer its lines; each event has a rate limit."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict

    from framelane.core.clock import Clock

FOLD_KEY = "_fold"
"""A field that names a line's kind, so that it is folded at any level; the field itself is not logged."""

_FAULTS = ("warning", "error", "critical")
_SOURCE_FIELDS = ("logger", "event", "stream", "model", "worker", "sink", "state", "reason")
_TEXT_FIELDS = ("text", "error", "key", "topic", "cause")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_FIRST_S, _MOST_S = 1.0, 3600.0
_QUICK_LINES = 2
"""Lines that pass at the shortest interval, before it begins to grow."""
_GROWTH = 4.0
_QUIET_S = 600.0
"""Seconds without a fault after which its next line counts as the first again."""
_BURST, _PER_S = 20.0, 1.0
"""Lines of one event that all streams together may log at once, and per second after that."""
_RESERVED_FOR_NEW = 15.0
"""Lines of a burst reserved for faults that were not logged yet, so that every stream is named eventually."""


class Fold:
    """A structlog processor that passes repeated faults of a stream at growing intervals and counts the rest.

    The next line to pass has `repeated`, the number held back before it. Each event, over all streams, may
    log a burst and then one line per second; the next line to pass has `others`, the number held back by this
    limit. Below warning only lines that name their kind are folded: two changes of a stream within a second
    both matter.

    Args:
        clock: the source of time.
        most: number of kinds to remember; beyond it the oldest are forgotten.
    """

    def __init__(self, clock: Clock, most: int = 4096) -> None:
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[object, ...], _Kind] = OrderedDict()
        self._events: OrderedDict[tuple[str, str], _Allowance] = OrderedDict()

    def __call__(self, _logger: object, method: str, event: EventDict) -> EventDict:
        """Return the event, or raise DropEvent to hold it back."""
        kind = event.pop(FOLD_KEY, None)
        fault = method in _FAULTS
        if not fault and kind is None:
            return event
        key = (kind,) if kind else _key(event)
        with self._lock:
            now_s = self._clock.monotonic()
            known = self._kind(key, now_s)
            if now_s < known.due_s:
                known.hold(now_s)
                raise structlog.DropEvent
            others = self._allowance(event, now_s).spend(new=not known.passed) if fault else 0
            if others is None:
                known.hold(now_s)
                raise structlog.DropEvent
            repeated = known.let_pass(now_s)
        counts = {"repeated": repeated, "others": others}
        event.update({name: count for name, count in counts.items() if count})
        return event

    def _kind(self, key: tuple[object, ...], now_s: float) -> _Kind:
        known = self._seen.get(key)
        if known is None or now_s - known.seen_s > max(_QUIET_S, known.interval_s):
            known = self._seen[key] = _Kind(now_s)
        self._seen.move_to_end(key)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return known

    def _allowance(self, event: EventDict, now_s: float) -> _Allowance:
        key = str(event.get("logger")), str(event.get("event"))
        allowance = self._events.setdefault(key, _Allowance(now_s))
        self._events.move_to_end(key)
        if len(self._events) > self._most:
            self._events.popitem(last=False)
        allowance.refill(now_s)
        return allowance


def _key(event: EventDict) -> tuple[object, ...]:
    """Return the fault's source and text; numbers in the text, such as a count of tries, are ignored."""
    source = [str(event.get(field)) for field in _SOURCE_FIELDS]
    return (*source, *(_NUMBER.sub("#", str(event.get(field))) for field in _TEXT_FIELDS))


@dataclass(slots=True)
class _Kind:
    """One kind of line: when the next may pass, and how many were held back since the last."""

    seen_s: float
    due_s: float = float("-inf")
    interval_s: float = _FIRST_S
    passed: int = 0
    held: int = 0

    def hold(self, now_s: float) -> None:
        self.held += 1
        self.seen_s = now_s

    def let_pass(self, now_s: float) -> int:
        """Return how many lines were held back before this one."""
        self.passed += 1
        if self.passed > _QUICK_LINES:
            self.interval_s = min(self.interval_s * _GROWTH, _MOST_S)
        self.seen_s, self.due_s = now_s, now_s + self.interval_s
        held, self.held = self.held, 0
        return held


class _Allowance:
    """The rate limit of one event, a token bucket."""

    def __init__(self, now_s: float) -> None:
        self._left = _BURST
        self._filled_s = now_s
        self._held = 0

    def refill(self, now_s: float) -> None:
        self._left = min(self._left + (now_s - self._filled_s) * _PER_S, _BURST)
        self._filled_s = now_s

    def spend(self, *, new: bool) -> int | None:
        """Return how many lines were held back since the last; None to hold this one back too."""
        if self._left < (1.0 if new else 1.0 + _RESERVED_FOR_NEW):
            self._held += 1
            return None
        self._left -= 1.0
        held, self._held = self._held, 0
        return held
