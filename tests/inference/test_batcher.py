"""The batcher: newest wins, fair turns, bounded waiting."""

from __future__ import annotations

import threading
import time
from collections import Counter
from itertools import pairwise

import pytest
from tests.inference.jobs import Sink, job, names

from framelane.core.clock import SystemClock
from framelane.inference.batcher import Batcher


class Sinks(dict[str, Sink]):
    """A destination for each name."""

    def __missing__(self, name: str) -> Sink:
        return self.setdefault(name, Sink(name))

    @property
    def dropped(self) -> dict[tuple[str, str], int]:
        return {(name, reason): count for name, sink in self.items() for reason, count in sink.counts.items()}


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
def sinks() -> Sinks:
    return Sinks()


def offer(batcher: Batcher, sink: Sink, index: int = 0, *, wait: bool = False) -> None:
    batcher.offer(job(sink, index), Blank(), wait=wait)


def make(batch: int = 4, linger_s: float = 0.0, waiting: int = 1) -> Batcher:
    return Batcher(batch, linger_s, SystemClock(), waiting)


def test_collect_returns_nothing_when_no_frame_comes_in_time(sinks: Sinks) -> None:
    assert make().collect(0.01) is None


def test_offer_replaces_and_counts_when_the_slot_is_taken(sinks: Sinks) -> None:
    batcher = make()
    for index in range(3):
        offer(batcher, sinks["a"], index)
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 2)]
    assert sinks.dropped == {("a", "replaced"): 2}


def test_offer_replaces_the_oldest_and_counts_when_two_may_wait(sinks: Sinks) -> None:
    batcher = make(waiting=2)
    for index in range(4):
        offer(batcher, sinks["a"], index)
    offer(batcher, sinks["b"], 0)
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 2), ("a", 3), ("b", 0)]
    assert sinks.dropped == {("a", "replaced"): 2}


def test_frames_of_a_stream_keep_their_order_over_batches_when_two_may_wait(sinks: Sinks) -> None:
    batcher = make(batch=2, waiting=2)
    for stream, index in (("a", 0), ("b", 0), ("a", 1), ("b", 1)):
        offer(batcher, sinks[stream], index)
    taken = [batch for _ in range(2) if (batch := batcher.collect(0)) is not None]
    assert [names(batch) for batch in taken] == [[("a", 0), ("b", 0)], [("a", 1), ("b", 1)]]
    assert not sinks.dropped


def test_replaced_frame_keeps_its_turn_when_a_newer_one_comes(sinks: Sinks) -> None:
    batcher = make(batch=1)
    offer(batcher, sinks["a"], 0)
    offer(batcher, sinks["b"], 0)
    offer(batcher, sinks["a"], 1)
    first, second = batcher.collect(0), batcher.collect(0)
    assert first is not None
    assert second is not None
    assert names(first) == [("a", 1)]
    assert names(second) == [("b", 0)]


# Where two may wait, the fast one has two turns ahead at the start and one at the end.
@pytest.mark.parametrize(("waiting", "most_ahead"), [(1, 1), (2, 3)])
def test_turns_are_fair_when_one_stream_is_much_faster(sinks: Sinks, waiting: int, most_ahead: int) -> None:
    batcher = make(batch=2, waiting=waiting)
    served: Counter[str] = Counter()
    for round_ in range(100):
        for _ in range(10):
            offer(batcher, sinks["fast"], round_)
        for stream in ("b", "c", "d"):
            offer(batcher, sinks[stream], round_)
        batch = batcher.collect(0)
        assert batch is not None
        served.update(stream for stream, _ in names(batch))
    assert max(served.values()) - min(served.values()) <= most_ahead


def test_batches_are_numbered_without_a_gap(sinks: Sinks) -> None:
    batcher = make(batch=2)
    numbers = []
    for index in range(5):
        for stream in "abc":
            offer(batcher, sinks[stream], index)
        batch = batcher.collect(0)
        assert batch is not None
        numbers.append(batch.number)
    assert all(after == before + 1 for before, after in pairwise(numbers))


def test_collect_does_not_linger_when_every_live_stream_has_a_frame(sinks: Sinks) -> None:
    batcher = make(batch=8, linger_s=30)
    batcher.join(sinks["a"])
    batcher.join(sinks["b"])
    offer(batcher, sinks["a"])
    offer(batcher, sinks["b"])
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 0), ("b", 0)]


def test_collect_lingers_for_the_missing_stream_when_it_is_live(sinks: Sinks) -> None:
    batcher = make(batch=8, linger_s=30)
    batcher.join(sinks["a"])
    batcher.join(sinks["b"])
    offer(batcher, sinks["a"])
    late = threading.Timer(0.05, offer, [batcher, sinks["b"]])
    late.start()
    batch = batcher.collect(0)
    late.join()
    assert batch is not None
    assert names(batch) == [("a", 0), ("b", 0)]


def test_collect_gives_up_lingering_when_the_time_is_over(sinks: Sinks) -> None:
    clock = SteppingClock()
    batcher = Batcher(8, 0.010, clock)
    batcher.join(sinks["a"])
    batcher.join(sinks["b"])
    offer(batcher, sinks["a"])
    clock.now_s += 0.011
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 0)]


def test_leave_ends_lingering_for_a_stream_when_it_goes(sinks: Sinks) -> None:
    batcher = make(batch=8, linger_s=30)
    batcher.join(sinks["a"])
    batcher.join(sinks["gone"])
    offer(batcher, sinks["a"])
    gone = threading.Timer(0.05, batcher.leave, [sinks["gone"]])
    gone.start()
    batch = batcher.collect(0)
    gone.join()
    assert batch is not None
    assert names(batch) == [("a", 0)]


def test_offer_waits_for_the_slot_when_every_frame_counts(sinks: Sinks) -> None:
    batcher = make()
    taken: list[tuple[str, int]] = []

    def feed() -> None:
        for index in range(5):
            offer(batcher, sinks["file"], index, wait=True)

    feeder = threading.Thread(target=feed)
    feeder.start()
    while len(taken) < 5:
        batch = batcher.collect(1)
        assert batch is not None
        taken += names(batch)
    feeder.join()
    assert taken == [("file", index) for index in range(5)]
    assert not sinks.dropped


def test_close_lets_waiting_frames_out_and_refuses_new_ones(sinks: Sinks) -> None:
    batcher = make(linger_s=30)
    batcher.join(sinks["a"])
    batcher.join(sinks["b"])
    offer(batcher, sinks["a"])
    batcher.close()
    offer(batcher, sinks["b"])
    batch = batcher.collect(0)
    assert batch is not None
    assert names(batch) == [("a", 0)]
    assert sinks.dropped == {("b", "stopping"): 1}


def test_close_frees_a_feeder_when_it_waits_for_its_slot(sinks: Sinks) -> None:
    batcher = make()
    offer(batcher, sinks["file"], 0)
    feeder = threading.Thread(target=offer, args=[batcher, sinks["file"], 1], kwargs={"wait": True})
    feeder.start()
    batcher.close()
    feeder.join(5)
    assert not feeder.is_alive()


def test_changed_stream_still_counts_when_its_old_thread_leaves_after_the_new_one_came(sinks: Sinks) -> None:
    clock = SteppingClock()
    batcher = Batcher(8, 0.010, clock)
    for stream in ("a", "b", "b"):
        batcher.join(sinks[stream])
    batcher.leave(sinks["b"])
    offer(batcher, sinks["a"])
    assert not batcher._full()
    for _ in range(3):
        batcher.leave(sinks["b"])
    assert batcher._full()
    batcher.join(sinks["b"])
    assert not batcher._full()


def test_withdrawn_stream_leaves_nothing_and_takes_no_turn(sinks: Sinks) -> None:
    batcher = make(batch=2, waiting=2)
    for name in ("a", "b", "a", "c"):
        offer(batcher, sinks[name])
    for _ in range(2):
        batcher.withdraw(sinks["a"])
    batcher.withdraw(sinks["unknown"])
    assert names(batcher.collect(0.0)) == [("b", 0), ("c", 0)]
    assert batcher.collect(0.0) is None
    offer(batcher, sinks["a"], 1)
    assert names(batcher.collect(0.0)) == [("a", 1)]
    assert sinks.dropped == {}


def test_withdrawing_the_last_frame_drains_a_closed_batcher(sinks: Sinks) -> None:
    batcher = make()
    offer(batcher, sinks["a"])
    batcher.close()
    assert not batcher.drained
    batcher.withdraw(sinks["a"])
    assert batcher.drained


def test_lingering_slot_is_not_woken_before_the_batch_is_full(sinks: Sinks) -> None:
    class Counted(SystemClock):
        looks = 0

        def monotonic(self) -> float:
            if threading.current_thread() is collector:
                self.looks += 1
            return super().monotonic()

    clock, taken = Counted(), []
    batcher = Batcher(8, 30.0, clock)
    collector = threading.Thread(target=lambda: taken.append(batcher.collect(30.0)))
    for stream in "abcdefgh":
        batcher.join(sinks[stream])
    collector.start()
    for stream in "abcdefgh":
        time.sleep(0.02)
        offer(batcher, sinks[stream])
    collector.join(5)
    assert len(taken) == 1
    assert len(names(taken[0])) == 8
    assert clock.looks <= 3


def test_no_frame_is_left_behind_whatever_slots_and_cameras_do_at_the_same_time(sinks: Sinks) -> None:
    batcher, seen = make(batch=4, linger_s=0.002), Counter[str]()

    def infer() -> None:
        while not batcher.drained:
            batch = batcher.collect(20.0)  # far beyond the test's patience: a wake-up that lacks shows
            if batch is not None:
                seen.update(stream for stream, _ in names(batch))

    def play(stream: str) -> None:
        for index in range(300):
            offer(batcher, sinks[stream], index, wait=True)

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


def test_one_frame_wakes_one_slot(sinks: Sinks) -> None:
    batcher, taken = make(batch=1), list[object]()
    slots = [
        threading.Thread(target=lambda: taken.append(batcher.collect(20.0)), daemon=True) for _ in range(3)
    ]
    for slot in slots:
        slot.start()
    time.sleep(0.1)
    offer(batcher, sinks["a"])
    time.sleep(0.1)
    assert [slot.is_alive() for slot in slots].count(False) == 1
    assert names(taken[0]) == [("a", 0)]
    batcher.close()


def test_replaced_frames_of_all_streams_are_counted(sinks: Sinks) -> None:
    batcher = make()
    for index, name in enumerate("aabbb"):
        offer(batcher, sinks[name], index)
    assert batcher.replaced == 3


def test_withdraw_tells_how_many_frames_it_took_back(sinks: Sinks) -> None:
    batcher = make(waiting=2)
    for index in range(2):
        offer(batcher, sinks["a"], index)
    assert (batcher.withdraw(sinks["a"]), batcher.withdraw(sinks["a"])) == (2, 0)
    assert batcher.collect(0.0) is None


def test_batch_of_crops_lingers_although_no_stream_is_live(sinks: Sinks) -> None:
    clock = SteppingClock()
    batcher = Batcher(2, 10.0, clock, crops=True)
    collected: list[object] = []
    thread = threading.Thread(target=lambda: collected.append(batcher.collect(10.0)))
    offer(batcher, sinks["a"])
    thread.start()
    # It is only over once the second crop is there, because the clock stands still.
    thread.join(0.05)
    assert thread.is_alive()
    offer(batcher, sinks["b"])
    thread.join(10.0)
    assert [names(batch) for batch in collected] == [[("a", 0), ("b", 0)]]
