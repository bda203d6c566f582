"""Remembers the newest log lines, for those who look at the page."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from structlog.typing import EventDict

MOST_LINES = 200
_MOST_CHARACTERS = 1000
_FAULTS = ("warning", "error", "critical")
_NAMED = ("timestamp", "level", "logger", "thread", "event", "exception")
"""Keys that have a place of their own in a line, or none."""


_PLOTTED = ("node_stats", "stream_stats")
"""Events with figures that the page plots; they would fill the ring."""


class LogLine(NamedTuple):
    """A line.

    Attributes:
        number: counts lines, from 1.
        at: when it was written, as in the log.
        level: "info", "warning", "error" or "critical".
        logger: the module that wrote it.
        text: its event and fields, redacted, at most 1,000 characters.
    """

    number: int
    at: str
    level: str
    logger: str
    text: str


class LogTail:
    """A structlog processor that remembers lines as it passes them on. Thread-safe.

    Faults have a ring of their own, so that a flood of news does not displace them. Lines below info, and
    those of statistics, are not remembered. It belongs behind redaction.
    """

    def __init__(self, most: int = MOST_LINES) -> None:
        self._lock = threading.Lock()
        self._written = self._told = 0
        self._news: deque[LogLine] = deque(maxlen=most)
        self._faults: deque[LogLine] = deque(maxlen=most)

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """Remember a line and return it as it is."""
        level = str(event.get("level", "info"))
        if level == "debug" or event.get("event") in _PLOTTED:
            return event
        at, logger = str(event.get("timestamp", "")), str(event.get("logger", ""))
        self.extend([LogLine(0, at, level, logger, _text(event))])
        return event

    def extend(self, lines: Iterable[LogLine]) -> None:
        """Remember lines, such as those of another process, under numbers of this one."""
        with self._lock:
            for line in lines:
                self._written += 1
                ring = self._faults if line.level in _FAULTS else self._news
                ring.append(line._replace(number=self._written))

    def fresh(self) -> Sequence[LogLine]:
        """Return the lines since the last call, the oldest first."""
        with self._lock:
            told, self._told = self._told, self._written
            return [line for line in sorted([*self._faults, *self._news]) if line.number > told]

    def lines(self, after: int = 0, *, faults_only: bool = False) -> Sequence[LogLine]:
        """Return the lines after this number, the oldest first."""
        with self._lock:
            found = [*self._faults] if faults_only else sorted([*self._faults, *self._news])
        return [line for line in found if line.number > after]


TAIL = LogTail()
"""The process's own: its log is one too."""


def _text(event: EventDict) -> str:
    fields = [
        f"{key}={value}" for key, value in event.items() if key not in _NAMED and not key.startswith("_")
    ]
    text = " ".join([str(event.get("event", "")), *fields])
    # Of a traceback its last line, which names the error.
    error = str(event.get("exception", "")).rstrip().rpartition("\n")[2]
    return (f"{text}: {error}" if error else text)[:_MOST_CHARACTERS]
