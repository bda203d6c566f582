"""Fair turns, one at a time a stream, in order, and an end that nothing outlives."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from framelane.core.clock import SystemClock
from framelane.sources.decoding.decode_pool import DecodePool, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stream:
    """Always has more to decode, which takes its time."""

    def __init__(self, step_s: float, pieces: float = float("inf")) -> None:
        self.turn = Turn(self)
        self.steps: list[tuple[float, float]] = []
        self._step_s = step_s
        self._pieces = pieces

    def step(self) -> bool:
        began_s = time.monotonic()
        time.sleep(self._step_s)
        self.steps.append((began_s, time.monotonic()))
        return len(self.steps) < self._pieces

    @property
    def spent_s(self) -> float:
        return sum(ended_s - began_s for began_s, ended_s in self.steps)


@pytest.fixture
def pool() -> Iterator[DecodePool]:
    pool = DecodePool("decode-test", 2, SystemClock())
    yield pool
    pool.stop(5.0)


def test_streams_get_the_same_time_whatever_their_pictures_cost(pool: DecodePool) -> None:
    streams = [Stream(0.002), Stream(0.002), Stream(0.002), Stream(0.02)]
    for stream in streams:
        pool.submit(stream.turn)
    time.sleep(1.5)
    for stream in streams:
        pool.withdraw(stream.turn)
    spent_s = [stream.spent_s for stream in streams]
    assert min(spent_s) / max(spent_s) > 0.7


def test_a_stream_is_decoded_on_one_thread_at_a_time(pool: DecodePool) -> None:
    stream = Stream(0.005)
    for _ in range(5):
        pool.submit(stream.turn)
    wait_until(lambda: len(stream.steps) > 20)
    pool.withdraw(stream.turn)
    assert all(before[1] <= after[0] for before, after in pairwise(stream.steps))


def test_a_slow_stream_does_not_keep_others_from_their_pictures(pool: DecodePool) -> None:
    """Two threads: one sits in a picture that takes forever, the other serves everybody else."""
    hangs = threading.Event()

    class Hanging:
        def step(self) -> bool:
            return hangs.wait(30)

    pool.submit(Turn(Hanging()))
    quick = Stream(0.001)
    pool.submit(quick.turn)
    wait_until(lambda: len(quick.steps) > 100)
    hangs.set()


def test_what_is_submitted_while_it_is_decoded_is_not_forgotten(pool: DecodePool) -> None:
    stream = Stream(0.05, pieces=0)  # says each time that there is no more
    pool.submit(stream.turn)
    wait_until(lambda: stream.turn.busy)
    pool.submit(stream.turn)
    wait_until(lambda: len(stream.steps) == 2)
    time.sleep(0.1)
    assert len(stream.steps) == 2


def test_withdraw_returns_when_nobody_decodes_any_more(pool: DecodePool) -> None:
    stream = Stream(0.1)
    pool.submit(stream.turn)
    wait_until(lambda: stream.turn.busy)
    pool.withdraw(stream.turn)
    steps = len(stream.steps)
    assert steps == 1
    pool.submit(stream.turn)
    time.sleep(0.2)
    assert len(stream.steps) == steps


def test_a_stream_that_fails_costs_no_thread(pool: DecodePool) -> None:
    class Broken:
        def step(self) -> bool:
            raise ValueError("broken")

    for _ in range(10):
        pool.submit(Turn(Broken()))
    quick = Stream(0.0, pieces=1)
    pool.submit(quick.turn)
    wait_until(lambda: len(quick.steps) == 1)


def test_stop_ends_every_thread() -> None:
    before = threading.active_count()
    pool = DecodePool("decode-test", 4, SystemClock())
    streams = [Stream(0.01) for _ in range(8)]
    for stream in streams:
        pool.submit(stream.turn)
    wait_until(lambda: threading.active_count() == before + 4)
    pool.stop(5.0)
    assert threading.active_count() == before
