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
        infos: at least one frame's identity, at most one of each stream.
        pictures: the frames' pictures; whoever has read them clears the list.
        collected_s: monotonic time in seconds at which the batch was closed.
    """

    number: int
    infos: Sequence[FrameInfo]
    pictures: list[Picture]
    collected_s: float


class Batcher:
    """One waiting frame a stream. A newer frame takes the place of the one that waits, and keeps its turn.

    Turns go round: a stream queues up when its slot fills and goes to the end once served, so that under overload each
    gets the same share and always with its newest frame. Waiting memory is one frame a stream, whatever the load.

    Args:
        batch: most frames in a batch.
        linger_s: seconds an incomplete batch waits for more frames, counted from its first.
        clock: where the time is read.
        dropped: told stream and reason of each frame that is given up.
    """

    def __init__(
        self, batch: int, linger_s: float, clock: Clock, dropped: Callable[[str, str], None]
    ) -> None:
        self.most = batch
        self._linger_s = linger_s
        self._clock = clock
        self._dropped = dropped
        self._changed = threading.Condition()
        self._waiting: dict[str, Frame] = {}
        self._turns: deque[str] = deque()
        self._members: Counter[str] = (
            Counter()
        )  # of a changed stream the old thread may leave after the new came
        self._oldest_s = 0.0
        self._batches = 0
        self._closed = False

    def join(self, stream: str) -> None:
        """Count a live stream: a batch stops lingering once every one of them has a frame in it."""
        with self._changed:
            self._members[stream] += 1

    def leave(self, stream: str) -> None:
        """Stop counting a stream; a frame of it that waits is still collected."""
        with self._changed:
            self._members[stream] -= 1
            self._members += Counter()  # keeps what is above 0
            self._changed.notify_all()

    def offer(self, frame: Frame, *, wait: bool = False) -> None:
        """Put a frame in its stream's slot.

        Args:
            frame: the stream's newest frame.
            wait: where the slot is taken, wait for a batch to empty it (every frame counts) instead of replacing.
        """
        stream = frame.info.stream
        with self._changed:
            while wait and stream in self._waiting and not self._closed:
                self._changed.wait(_CLOSED_CHECK_S)
            if self._closed:
                self._dropped(stream, "stopping")
                return
            if stream in self._waiting:
                self._dropped(stream, "replaced")
            else:
                if not self._turns:
                    self._oldest_s = self._clock.monotonic()
                self._turns.append(stream)
            self._waiting[stream] = frame
            self._changed.notify()

    def collect(self, timeout_s: float) -> Batch | None:
        """Wait for frames; return those of the streams whose turn it is, or None when there were none in time."""
        with self._changed:
            if not self._turns:
                self._changed.wait(timeout_s)
            while self._turns and not self._full():
                left_s = self._oldest_s + self._linger_s - self._clock.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            return self._take() if self._turns else None

    def close(self) -> None:
        """Take no more frames; those that wait can still be collected."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def drained(self) -> bool:
        """Whether it is closed and nothing waits any more."""
        with self._changed:
            return self._closed and not self._turns

    def _full(self) -> bool:
        return self._closed or len(self._turns) >= min(self.most, max(len(self._members), 1))

    def _take(self) -> Batch:
        count = min(self.most, len(self._turns))
        frames = [self._waiting.pop(self._turns.popleft()) for _ in range(count)]
        now_s = self._clock.monotonic()
        if self._turns:
            self._oldest_s = now_s
        infos, pictures = [frame.info for frame in frames], [frame.picture for frame in frames]
        batch = Batch(self._batches, infos, pictures, now_s)
        self._batches += 1
        self._changed.notify_all()
        return batch
