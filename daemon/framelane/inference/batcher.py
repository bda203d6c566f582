"""Gathers the newest frame of each stream into batches: fair over streams, bounded in memory and in waiting."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.core.clock import Clock
    from framelane.core.frames import Frame, FrameInfo, Picture

_CLOSED_CHECK_S = 0.5


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames to infer together.

    Identities and pictures are apart: pictures go as soon as they have been read, identities stay to the end.

    Attributes:
        number: position among the batcher's batches, from 0, without a gap; results are delivered in this order.
        infos: at least one frame's identity; of one stream's frames the older comes first.
        pictures: the frames' pictures; whoever has read them clears the list.
        collected_s: monotonic time in seconds at which the batch was closed.
    """

    number: int
    infos: Sequence[FrameInfo]
    pictures: list[Picture]
    collected_s: float


class Batcher:
    """A few waiting frames a stream, one by default. A newer frame takes the oldest's place, which keeps its turn.

    Turns go round: a stream queues up with each frame that finds room and goes to the end once served, so that under
    overload each gets the same share, always with its newest frames. Waiting memory is bounded, whatever the load.
    Room for a second frame costs a turn more of latency under overload, and without overload it saves the frames that
    come too soon after the one before: a camera's network and a host's threads have their hiccups.

    Args:
        batch: most frames in a batch.
        linger_s: seconds an incomplete batch waits for more frames, counted from its first.
        clock: where the time is read.
        dropped: told stream and reason of each frame that is given up.
        waiting: most frames of a stream that wait.
    """

    def __init__(
        self,
        batch: int,
        linger_s: float,
        clock: Clock,
        dropped: Callable[[str, str], None],
        waiting: int = 1,
    ) -> None:
        self.most = batch
        self._linger_s = linger_s
        self._clock = clock
        self._dropped = dropped
        self._lock = threading.Lock()
        # Three, so that nobody is woken in vain: each wake-up has to wait for the interpreter lock.
        self._begun = threading.Condition(self._lock)  # for slots: a batch begins
        self._ready = threading.Condition(self._lock)  # for the one slot that lingers: its batch is full
        self._freed = threading.Condition(self._lock)  # for who offers: a frame has left
        self._lingers = False
        self._room = waiting
        self._waiting: dict[str, deque[Frame]] = {}
        self._turns: deque[str] = deque()
        self._members: Counter[str] = (
            Counter()
        )  # of a changed stream the old thread may leave after the new came
        self._oldest_s = 0.0
        self._batches = 0
        self._closed = False

    def join(self, stream: str) -> None:
        """Count a live stream: a batch stops lingering once every one of them has a frame in it."""
        with self._lock:
            self._members[stream] += 1

    def leave(self, stream: str) -> None:
        """Stop counting a stream; frames of it that wait are still collected."""
        with self._lock:
            self._members[stream] -= 1
            self._members += Counter()  # keeps what is above 0
            if self._full():
                self._wake_one()

    def offer(self, frame: Frame, *, wait: bool = False) -> None:
        """Have a frame wait for its stream's turn.

        Args:
            frame: the stream's newest frame.
            wait: where there is no room, wait for a batch to make some (every frame counts) instead of replacing.
        """
        stream = frame.info.stream
        with self._lock:
            while wait and self._crowded(stream) and not self._closed:
                self._freed.wait(_CLOSED_CHECK_S)
            if self._closed:
                self._dropped(stream, "stopping")
                return
            if self._crowded(stream):
                self._waiting[stream].popleft()
                self._dropped(stream, "replaced")
                self._waiting[stream].append(frame)
                return
            first = not self._turns
            if first:
                self._oldest_s = self._clock.monotonic()
            self._turns.append(stream)
            self._waiting.setdefault(stream, deque()).append(frame)
            if first or self._full():
                self._wake_one()

    def withdraw(self, stream: str) -> bool:
        """Forget the frames of a stream that wait, telling nobody; False where none does, any more or yet."""
        with self._lock:
            frames = self._waiting.pop(stream, ())
            for _ in frames:
                self._turns.remove(stream)
            self._freed.notify_all()
            return bool(frames)

    def collect(self, timeout_s: float) -> Batch | None:
        """Wait for frames; return those of the streams whose turn it is, or None when there were none in time."""
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
        """Take no more frames; those that wait can still be collected."""
        with self._lock:
            self._closed = True
            for each in (self._begun, self._ready, self._freed):
                each.notify_all()

    @property
    def drained(self) -> bool:
        """Whether it is closed and nothing waits any more."""
        with self._lock:
            return self._closed and not self._turns

    def _full(self) -> bool:
        return self._closed or len(self._turns) >= min(self.most, max(len(self._members), 1))

    def _wake_one(self) -> None:
        (self._ready if self._lingers else self._begun).notify()

    def _crowded(self, stream: str) -> bool:
        return len(self._waiting.get(stream, ())) >= self._room

    def _next(self) -> Frame:
        stream = self._turns.popleft()
        frames = self._waiting[stream]
        frame = frames.popleft()
        if not frames:  # a stream that goes leaves nothing behind
            del self._waiting[stream]
        return frame

    def _take(self) -> Batch:
        count = min(self.most, len(self._turns))
        frames = [self._next() for _ in range(count)]
        now_s = self._clock.monotonic()
        if self._turns:
            self._oldest_s = now_s
            self._begun.notify()
        infos, pictures = [frame.info for frame in frames], [frame.picture for frame in frames]
        batch = Batch(self._batches, infos, pictures, now_s)
        self._batches += 1
        self._freed.notify_all()
        return batch
