"""Gathers the newest frame of each stream into batches, fairly, with bounded memory and waiting."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.core.clock import Clock
    from framelane.core.frames import Picture
    from framelane.inference.job import Destination, Job

_CLOSED_CHECK_S = 0.5


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs to infer at once.

    Images are kept apart from jobs: they are released as soon as they have been read, while jobs stay to the
    end.

    Attributes:
        number: position among the batcher's batches, from 0, without gaps; results are delivered in this
            order.
        jobs: at least one; a stream's older job comes first.
        images: the jobs' images; the reader clears the list when done.
        collected_s: monotonic time in seconds at which the batch was closed.
    """

    number: int
    jobs: Sequence[Job]
    images: list[Picture]
    collected_s: float


class Batcher:
    """Keeps up to `waiting` frames per stream; when full, a new frame replaces the oldest and keeps its turn.

    Streams take turns, round-robin: each frame that finds room queues its stream at the end. Under overload
    each stream therefore gets the same share, always with its newest frames. Memory is bounded under any
    load. Room for a second frame adds one turn of latency under overload. Without overload it saves frames
    that arrive too soon after the previous one, because of jitter in the camera's network or the host's
    threads.

    Args:
        batch: most frames in a batch.
        linger_s: seconds an incomplete batch waits for more frames, counted from its first.
        clock: the clock.
        waiting: most frames that wait per stream.
        crops: whether crops of objects come instead of streams' frames. Nobody knows how many will be due, so
            an incomplete batch always lingers.
    """

    def __init__(
        self,
        batch: int,
        linger_s: float,
        clock: Clock,
        waiting: int = 1,
        *,
        crops: bool = False,
    ) -> None:
        self.most = batch
        self.replaced = 0
        """Frames that newer ones have replaced so far."""
        self._linger_s = linger_s
        self._clock = clock
        self._lock = threading.Lock()
        # Three conditions, so that no thread wakes for nothing: each wake-up waits for the interpreter lock.
        # Slots wait here for a batch to begin.
        self._begun = threading.Condition(self._lock)
        # The one slot that lingers waits here for its batch to fill.
        self._ready = threading.Condition(self._lock)
        # A file's thread waits here for room.
        self._freed = threading.Condition(self._lock)
        self._lingers = False
        self._crops = crops
        self._room = waiting
        self._waiting: dict[Destination, deque[tuple[Job, Picture]]] = {}
        self._turns: deque[Destination] = deque()
        # A counter, because when a stream is reopened the old camera thread may leave after the new one
        # joined.
        self._members: Counter[Destination] = Counter()
        self._oldest_s = 0.0
        self._batches = 0
        self._closed = False

    def join(self, stream: Destination) -> None:
        """Count a live stream: a batch stops lingering once every live stream has a frame in it."""
        with self._lock:
            self._members[stream] += 1

    def leave(self, stream: Destination) -> None:
        """Stop counting a stream; its waiting frames are still collected."""
        with self._lock:
            self._members[stream] -= 1
            # Adding an empty counter keeps positive counts only.
            self._members += Counter()
            if self._full():
                self._wake_one()

    def offer(self, job: Job, image: Picture, *, wait: bool = False) -> None:
        """Queue a frame until its stream's turn.

        Args:
            job: the stream's newest frame.
            image: its pixels.
            wait: if there is no room, wait for some instead of replacing a frame. For files, where every
                frame counts.
        """
        stream = job.destination
        with self._lock:
            while wait and self._crowded(stream) and not self._closed:
                self._freed.wait(_CLOSED_CHECK_S)
            if self._closed:
                stream.frame_dropped("stopping")
                return
            if self._crowded(stream):
                self._waiting[stream].popleft()
                self.replaced += 1
                stream.frame_dropped("replaced")
                self._waiting[stream].append((job, image))
                return
            first = not self._turns
            if first:
                self._oldest_s = self._clock.monotonic()
            self._turns.append(stream)
            self._waiting.setdefault(stream, deque()).append((job, image))
            if first or self._full():
                self._wake_one()

    def withdraw(self, stream: Destination) -> int:
        """Discard the waiting frames of a stream without counting them; return how many there were."""
        with self._lock:
            withdrawn = self._waiting.pop(stream, ())
            for _ in withdrawn:
                self._turns.remove(stream)
            self._freed.notify_all()
            return len(withdrawn)

    def collect(self, timeout_s: float) -> Batch | None:
        """Return the frames of the streams whose turn it is, or None if none came within `timeout_s`."""
        with self._lock:
            if not self._turns or self._lingers:
                self._begun.wait(timeout_s)
            if self._lingers:
                return self._take() if self._turns and self._full() else None
            self._lingers = True
            while self._turns and not self._full():
                left_s = self._oldest_s + self._linger_s - self._clock.monotonic()
                if left_s <= 0:
                    break
                self._ready.wait(left_s)
            self._lingers = False
            return self._take() if self._turns else None

    def close(self) -> None:
        """Accept no more frames; waiting ones can still be collected."""
        with self._lock:
            self._closed = True
            for each in (self._begun, self._ready, self._freed):
                each.notify_all()

    @property
    def drained(self) -> bool:
        """Whether the batcher is closed and empty."""
        with self._lock:
            return self._closed and not self._turns

    def _full(self) -> bool:
        expected = self.most if self._crops else max(len(self._members), 1)
        return self._closed or len(self._turns) >= min(self.most, expected)

    def _wake_one(self) -> None:
        (self._ready if self._lingers else self._begun).notify()

    def _crowded(self, stream: Destination) -> bool:
        return len(self._waiting.get(stream, ())) >= self._room

    def _next(self) -> tuple[Job, Picture]:
        stream = self._turns.popleft()
        waiting = self._waiting[stream]
        job = waiting.popleft()
        # A stream that has left must occupy no memory.
        if not waiting:
            del self._waiting[stream]
        return job

    def _take(self) -> Batch:
        count = min(self.most, len(self._turns))
        taken = [self._next() for _ in range(count)]
        now_s = self._clock.monotonic()
        if self._turns:
            self._oldest_s = now_s
            self._begun.notify()
        batch = Batch(self._batches, [job for job, _ in taken], [image for _, image in taken], now_s)
        self._batches += 1
        self._freed.notify_all()
        return batch
