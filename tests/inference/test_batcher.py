"""The batcher: newest wins, fair turns, bounded waiting."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import pytest

from framelane.core.clock import SystemClock
from framelane.core.frames import Frame, FrameInfo
from framelane.inference.batcher import Batcher


@dataclass
class Drops:
    counted: Counter[tuple[str, str]]

    def __call__(self, stream: str, reason: str) -> None:
        self.counted[stream, reason] += 1


class Blank:
    width = 64
    height = 48


class SteppingClock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


@pytest.fixture
def drops() -> Drops:
    return Drops(Counter())


def frame(stream: str, index: int = 0) -> Frame:
    return Frame(FrameInfo(stream, index, index / 25, 0.0, "receive", 0.0, 64, 48), Blank())


def names(batch: object) -> list[tuple[str, int]]:
    return [(taken.stream, taken.index) for taken in batch.infos]  # type: ignore[attr-defined]


def make(drops: Drops, batch: int = 4, linger_s: float = 0.0, waiting: int = 1) -> Batcher:
    return Batcher(batch, linger_s, SystemClock(), drops, waiting)


def test_collect_returns_nothing_when_no_frame_comes_in_time(drops: Drops) -> None:
    assert make(drops).collect(0.01) is None


def test_offer_replaces_and_counts_when_the_slot_is_taken(drops: Drops) -> None:
    batcher = make(drops)
    for index in range(3):
        batcher.offer(frame("a", index))
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 2)]
    assert drops.counted == {("a", "replaced"): 2}


def test_offer_replaces_the_oldest_and_counts_when_two_may_wait(drops: Drops) -> None:
    batcher = make(drops, waiting=2)
    for index in range(4):
        batcher.offer(frame("a", index))
    batcher.offer(frame("b", 0))
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 2), ("a", 3), ("b", 0)]
    assert drops.counted == {("a", "replaced"): 2}


def test_frames_of_a_stream_keep_their_order_over_batches_when_two_may_wait(drops: Drops) -> None:
    batcher = make(drops, batch=2, waiting=2)
    for stream, index in (("a", 0), ("b", 0), ("a", 1), ("b", 1)):
        batcher.offer(frame(stream, index))
    taken = [batch for _ in range(2) if (batch := batcher.collect(0)) is not None]
    assert [names(batch) for batch in taken] == [[("a", 0), ("b", 0)], [("a", 1), ("b", 1)]]
    assert not drops.counted


def test_replaced_frame_keeps_its_turn_when_a_newer_one_comes(drops: Drops) -> None:
    batcher = make(drops, batch=1)
    batcher.offer(frame("a", 0))
    batcher.offer(frame("b", 0))
    batcher.offer(frame("a", 1))
    first, second = batcher.collect(0), batcher.collect(0)
    assert first is not None
    assert second is not None
    assert names(first) == [("a", 1)]
    assert names(second) == [("b", 0)]


# Where two may wait, the fast one has two turns ahead at the start and one at the end.
@pytest.mark.parametrize(("waiting", "most_ahead"), [(1, 1), (2, 3)])
def test_turns_are_fair_when_one_stream_is_much_faster(drops: Drops, waiting: int, most_ahead: int) -> None:
    batcher = make(drops, batch=2, waiting=waiting)
    served: Counter[str] = Counter()
    for round_ in range(100):
        for _ in range(10):
            batcher.offer(frame("fast", round_))
        for stream in ("b", "c", "d"):
            batcher.offer(frame(stream, round_))
        batch = batcher.collect(0)
        assert batch is not None
        served.update(stream for stream, _ in names(batch))
    assert max(served.values()) - min(served.values()) <= most_ahead


def test_batches_are_numbered_without_a_gap(drops: Drops) -> None:
    batcher = make(drops, batch=2)
    numbers = []
    for index in range(5):
        for stream in "abc":
            batcher.offer(frame(stream, index))
        batch = batcher.collect(0)
        assert batch is not None
        numbers.append(batch.number)
    assert all(after == before + 1 for before, after in pairwise(numbers))


def test_collect_does_not_linger_when_every_live_stream_has_a_frame(drops: Drops) -> None:
    batcher = make(drops, batch=8, linger_s=30)
    batcher.join("a")
    batcher.join("b")
    batcher.offer(frame("a"))
    batcher.offer(frame("b"))
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 0), ("b", 0)]


def test_collect_lingers_for_the_missing_stream_when_it_is_live(drops: Drops) -> None:
    batcher = make(drops, batch=8, linger_s=30)
    batcher.join("a")
    batcher.join("b")
    batcher.offer(frame("a"))
    late = threading.Timer(0.05, batcher.offer, [frame("b")])
    late.start()
    batch = batcher.collect(0)
    late.join()
    assert batch is not None
    assert names(batch) == [("a", 0), ("b", 0)]


def test_collect_gives_up_lingering_when_the_time_is_over(drops: Drops) -> None:
    clock = SteppingClock()
    batcher = Batcher(8, 0.010, clock, drops)
    batcher.join("a")
    batcher.join("b")
    batcher.offer(frame("a"))
    clock.now_s += 0.011
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 0)]


def test_leave_ends_lingering_for_a_stream_when_it_goes(drops: Drops) -> None:
    batcher = make(drops, batch=8, linger_s=30)
    batcher.join("a")
    batcher.join("gone")
    batcher.offer(frame("a"))
    gone = threading.Timer(0.05, batcher.leave, ["gone"])
    gone.start()
    batch = batcher.collect(0)
    gone.join()
    assert batch is not None
    assert names(batch) == [("a", 0)]


def test_offer_waits_for_the_slot_when_every_frame_counts(drops: Drops) -> None:
    batcher = make(drops)
    taken: list[tuple[str, int]] = []

    def feed() -> None:
        for index in range(5):
            batcher.offer(frame("file", index), wait=True)

    feeder = threading.Thread(target=feed)
    feeder.start()
    while len(taken) < 5:
        batch = batcher.collect(1)
        assert batch is not None
        taken += names(batch)
    feeder.join()
    assert taken == [("file", index) for index in range(5)]
    assert not drops.counted


def test_close_lets_waiting_frames_out_and_refuses_new_ones(drops: Drops) -> None:
    batcher = make(drops, linger_s=30)
    batcher.join("a")
    batcher.join("b")
    batcher.offer(frame("a"))
    batcher.close()
    batcher.offer(frame("b"))
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 0)]
    assert drops.counted == {("b", "stopping"): 1}


def test_close_frees_a_feeder_when_it_waits_for_its_slot(drops: Drops) -> None:
    batcher = make(drops)
    batcher.offer(frame("file", 0))
    feeder = threading.Thread(target=batcher.offer, args=[frame("file", 1)], kwargs={"wait": True})
    feeder.start()
    batcher.close()
    feeder.join(5)
    assert not feeder.is_alive()


def test_changed_stream_still_counts_when_its_old_thread_leaves_after_the_new_one_came(drops: Drops) -> None:
    clock = SteppingClock()
    batcher = Batcher(8, 0.010, clock, drops)
    for stream in ("a", "b", "b"):
        batcher.join(stream)
    batcher.leave("b")
    batcher.offer(frame("a"))
    assert not batcher._full()
    for _ in range(3):
        batcher.leave("b")
    assert batcher._full()
    batcher.join("b")
    assert not batcher._full()


def test_withdrawn_stream_leaves_nothing_and_takes_no_turn(drops: Drops) -> None:
    batcher = make(drops, batch=2, waiting=2)
    for name in ("a", "b", "a", "c"):
        batcher.offer(frame(name))
    assert batcher.withdraw("a")
    assert not batcher.withdraw("a")
    assert not batcher.withdraw("unknown")
    assert names(batcher.collect(0.0)) == [("b", 0), ("c", 0)]
    assert batcher.collect(0.0) is None
    batcher.offer(frame("a", 1))
    assert names(batcher.collect(0.0)) == [("a", 1)]
    assert drops.counted == {}


def test_withdrawing_the_last_frame_drains_a_closed_batcher(drops: Drops) -> None:
    batcher = make(drops)
    batcher.offer(frame("a"))
    batcher.close()
    assert not batcher.drained
    batcher.withdraw("a")
    assert batcher.drained


def test_lingering_slot_is_not_woken_before_the_batch_is_full(drops: Drops) -> None:
    class Counted(SystemClock):
        looks = 0

        def monotonic(self) -> float:
            if threading.current_thread() is collector:
                self.looks += 1
            return super().monotonic()

    clock, taken = Counted(), []
    batcher = Batcher(8, 30.0, clock, drops)
    collector = threading.Thread(target=lambda: taken.append(batcher.collect(30.0)))
    for stream in "abcdefgh":
        batcher.join(stream)
    collector.start()
    for stream in "abcdefgh":
        time.sleep(0.02)
        batcher.offer(frame(stream))
    collector.join(5)
    assert len(taken) == 1
    assert len(names(taken[0])) == 8
    assert clock.looks <= 3


def test_no_frame_is_left_behind_whatever_slots_and_cameras_do_at_the_same_time(drops: Drops) -> None:
    batcher, seen = make(drops, batch=4, linger_s=0.002), Counter[str]()

    def infer() -> None:
        while not batcher.drained:
            batch = batcher.collect(20.0)  # far beyond the test's patience: a wake-up that lacks shows
            if batch is not None:
                seen.update(info.stream for info in batch.infos)

    def play(stream: str) -> None:
        for index in range(300):
            batcher.offer(frame(stream, index), wait=True)

    slots = [threading.Thread(target=infer, daemon=True) for _ in range(3)]
    cameras = [threading.Thread(target=play, args=(stream,), daemon=True) for stream in "abcdefg"]
    for thread in [*slots, *cameras]:
        thread.start()
    for thread in cameras:
        thread.join(15)
    batcher.close()
    for thread in slots:
        thread.join(15)
    assert not any(thread.is_alive() for thread in [*slots, *cameras])
    assert seen == dict.fromkeys("abcdefg", 300)


def test_one_frame_wakes_one_slot(drops: Drops) -> None:
    batcher, taken = make(drops, batch=1), list[object]()
    slots = [
        threading.Thread(target=lambda: taken.append(batcher.collect(20.0)), daemon=True) for _ in range(3)
    ]
    for slot in slots:
        slot.start()
    time.sleep(0.1)
    batcher.offer(frame("a"))
    time.sleep(0.1)
    assert [slot.is_alive() for slot in slots].count(False) == 1
    assert names(taken[0]) == [("a", 0)]
    batcher.close()
