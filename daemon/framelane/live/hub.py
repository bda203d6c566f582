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
    from framelane.live.preview import Preview, PreviewReader
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
        self._streams: dict[str, tuple[StreamTap, Preview | None]] = {}
        self._feeds: dict[str, Feed] = {}
        self._leaving: list[PreviewReader] = []
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._news = threading.Event()

    def add(self, stream: str, tap: StreamTap, preview: Preview | None = None) -> None:
        """Add a stream, or change its sub-stream. One that is read in the same way stays open."""
        with self._lock:
            before = self._streams.get(stream, (tap, None))[1]
            if preview is not None and preview.is_like(before):
                preview = before
            else:
                self._let_go(before)
                if preview is not None:
                    preview.readers.extend(each for each in self._leaving if each.stream == stream)
            self._streams[stream] = tap, preview
            feed = self._feeds.get(stream)
            if feed is not None:
                feed.follow(tap, preview)

    def remove(self, stream: str) -> None:
        """Remove a stream."""
        with self._lock:
            self._let_go(self._streams.pop(stream, (None, None))[1])
            feed = self._feeds.get(stream)
            if feed is not None:
                feed.follow(None)

    def retry(self) -> None:
        """Retry now the sub-streams that refused a login."""
        with self._lock:
            for _, preview in self._streams.values():
                if preview is not None:
                    preview.retry_login()

    def watch(self, stream: str, want: Want, sink: Sink) -> None:
        """See Feeds."""
        with self._lock:
            if self.stopping.is_set():
                return
            feed = self._feeds.get(stream)
            if feed is None:
                feed = self._feeds[stream] = Feed(self._clock, self._post)
                feed.follow(*self._streams.get(stream, (None, None)))
            feed.add(want, sink)
        self.start()
        self._news.set()

    def unwatch(self, stream: str, want: Want, sink: Sink) -> None:
        """See Feeds."""
        with self._lock:
            feed = self._feeds.get(stream)
            if feed is None:
                return
            feed.remove(want, sink)
            self._expire(stream, feed)

    def stop(self, timeout_s: float | None = None) -> bool:
        """See Worker; ends the readers of sub-streams too."""
        with self._lock:
            self.stopping.set()
            for _, preview in self._streams.values():
                self._let_go(preview)
            readers = self._leaving
        for reader in readers:
            reader.stopping.set()
        deadline_s = None if timeout_s is None else self._clock.monotonic() + timeout_s
        ended = super().stop(timeout_s)
        for reader in readers:
            left_s = None if deadline_s is None else max(deadline_s - self._clock.monotonic(), 0.0)
            ended &= reader.stop(left_s)
        return ended

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
        with self._lock:
            for stream, feed in list(self._feeds.items()):
                self._expire(stream, feed)

    def _let_go(self, preview: Preview | None) -> None:
        """Remember the readers of a sub-stream that is not needed any more until they have ended."""
        readers = [] if preview is None else preview.readers
        self._leaving = [each for each in (*self._leaving, *readers) if each.alive]

    def _expire(self, stream: str, feed: Feed) -> None:
        """Remove a feed that nobody watches, once its sub-stream is closed."""
        if feed.expire():
            feed.follow(None)
            del self._feeds[stream]

    def _post(self, work: Callable[[], None]) -> bool:
        if len(self._waiting) >= _MOST_WAITING:
            return False
        self._waiting.append(work)
        self._news.set()
        return True
