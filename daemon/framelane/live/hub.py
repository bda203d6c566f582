"""Connects viewers to the streams of this process; its thread makes the records."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from framelane.core.worker import Worker
from framelane.live.feed import Feed

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.live.feed import Sink, Want
    from framelane.live.tap import StreamTap

_LOOK_S = 0.1
_MOST_WAITING = 4096
"""Units, frames and results that may wait: 2 s of 64 cameras at 25 per second."""


class Feeds(Protocol):
    """Gives the records of streams to viewers. Thread-safe; unknown streams may come later."""

    def watch(self, stream: str, want: Want, sink: Sink) -> None:
        """Give records of a stream to a sink from now on."""
        ...

    def unwatch(self, stream: str, want: Want, sink: Sink) -> None:
        """Give no more records to a sink; one that is under way may still come."""
        ...


class LiveHub(Worker):
    """Sees the streams of this process through their taps. Its thread starts with the first viewer.

    Args:
        clock: the source of time.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__("live")
        self._clock = clock
        self._taps: dict[str, StreamTap] = {}
        self._feeds: dict[str, Feed] = {}
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._news = threading.Event()

    def add(self, stream: str, tap: StreamTap) -> None:
        """Add a stream."""
        with self._lock:
            self._taps[stream] = tap
            feed = self._feeds.get(stream)
            if feed is not None:
                feed.follow(tap)

    def remove(self, stream: str) -> None:
        """Remove a stream."""
        with self._lock:
            self._taps.pop(stream, None)
            feed = self._feeds.get(stream)
            if feed is not None:
                feed.follow(None)

    def watch(self, stream: str, want: Want, sink: Sink) -> None:
        """See Feeds."""
        with self._lock:
            feed = self._feeds.get(stream)
            if feed is None:
                feed = self._feeds[stream] = Feed(self._clock, self._post)
                feed.follow(self._taps.get(stream))
            feed.add(want, sink)
        if not self.stopping.is_set():
            self.start()
        self._news.set()

    def unwatch(self, stream: str, want: Want, sink: Sink) -> None:
        """See Feeds."""
        with self._lock:
            feed = self._feeds.get(stream)
            if feed is None:
                return
            feed.remove(want, sink)
            if not feed.watched:
                feed.follow(None)
                del self._feeds[stream]

    def wake(self) -> None:
        """Make the thread check whether to stop."""
        self._news.set()

    def run_once(self) -> None:
        """Do what waits, and what is due."""
        self._news.wait(_LOOK_S if self._feeds else None)
        self._news.clear()
        while self._waiting and not self.stopping.is_set():
            self._waiting.popleft()()
        for feed in list(self._feeds.values()):
            feed.look()

    def _post(self, work: Callable[[], None]) -> bool:
        if len(self._waiting) >= _MOST_WAITING:
            return False
        self._waiting.append(work)
        self._news.set()
        return True
