"""Jobs and destinations for tests of batchers and model workers."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, cast

import numpy as np

from framelane.core.frames import FrameInfo
from framelane.inference.job import Job
from framelane.models.heads.class_filter import ClassFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.frames import Result

ALL = ClassFilter.of(np.zeros(1, np.float32))


class Sink:
    """A destination that counts and keeps what comes, and calls `delivered` with each result."""

    def __init__(self, name: str = "a", delivered: Callable[[Result], object] = lambda _result: None) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.results: list[Result] = []
        self._delivered = delivered
        self._lock = threading.Lock()

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        assert queued_s >= 0
        assert inferred_s >= 0
        self._count("inferred")

    def frame_dropped(self, reason: str, count: int = 1) -> None:
        self._count(reason, count)

    def deliver(self, result: Result) -> None:
        self.results.append(result)
        self._delivered(result)

    def _count(self, what: str, count: int = 1) -> None:
        with self._lock:
            self.counts[what] += count


def job(
    sink: Sink, index: int = 0, received_s: float = 0.0, side: int = 64, wanted: ClassFilter = ALL
) -> Job:
    info = FrameInfo(sink.name, index, index / 25, 0.0, "receive", received_s, side, side)
    return Job(info, wanted, None, sink)


def names(batch: object) -> list[tuple[str, int]]:
    jobs = cast("list[Job]", batch.jobs)  # type: ignore[attr-defined]
    return [(taken.info.stream, taken.info.index) for taken in jobs]
