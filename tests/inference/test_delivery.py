"""Results come in frame order, whichever slot is first, and off the slots' threads."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs
from tests.waiting import wait_until

from framelane.inference.delivery import DeliveryThread
from framelane.inference.job import Delivery

if TYPE_CHECKING:
    from collections.abc import Sequence


class Taken:
    """A destination that keeps what it is given, and fails at what it is told to."""

    def __init__(self, fails_at: object = None, gate: threading.Event | None = None) -> None:
        self.results: list[Any] = []
        self.threads: set[str] = set()
        self._fails_at = fails_at
        self._gate = gate

    def deliver(self, result: Any) -> None:
        if self._gate is not None:
            assert self._gate.wait(30.0)
        if result == self._fails_at:
            raise RuntimeError("this one can't be encoded")
        self.threads.add(threading.current_thread().name)
        self.results.append(result)

    def of(self, *results: object) -> list[Delivery]:
        return [Delivery(self, result) for result in results]  # type: ignore[arg-type]

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None: ...

    def frame_dropped(self, reason: str, count: int = 1) -> None: ...


def started(most: int = 1000, **options: Any) -> DeliveryThread:
    thread = DeliveryThread("tiny", most, **options)
    thread.start()
    return thread


def test_results_wait_for_the_batch_before_when_it_is_slower() -> None:
    taken, thread = Taken(), started()
    thread.complete(1, taken.of("c"))
    time.sleep(0.1)
    assert taken.results == []
    thread.complete(0, taken.of("a", "b"))
    assert thread.drain(30.0)
    assert taken.results == ["a", "b", "c"]
    assert taken.threads == {"deliver-tiny"}


def test_later_batches_go_on_when_one_failed() -> None:
    taken, thread = Taken(), started()
    thread.complete(0, [])
    thread.complete(1, taken.of("b"))
    assert thread.drain(30.0)
    assert taken.results == ["b"]


def test_order_holds_when_many_threads_complete_at_once() -> None:
    taken, thread = Taken(), started()
    numbers = list(range(400))
    random.Random(7).shuffle(numbers)

    def complete(share: list[int]) -> None:
        for number in share:
            thread.complete(number, taken.of(number))

    slots = [threading.Thread(target=complete, args=[numbers[start::4]]) for start in range(4)]
    for slot in slots:
        slot.start()
    for slot in slots:
        slot.join()
    assert thread.drain(30.0)
    assert taken.results == list(range(400))


def test_one_result_that_cannot_be_delivered_costs_no_other() -> None:
    taken, thread = Taken(fails_at="b"), started()
    with capture_logs() as logs:
        thread.complete(0, taken.of("a", "b", "c"))
        thread.complete(1, taken.of("d"))
        assert thread.drain(30.0)
    assert taken.results == ["a", "c", "d"]
    assert [each["event"] for each in logs] == ["worker_failed"]


def test_slots_wait_while_delivery_is_slow_but_never_for_their_own_turn() -> None:
    gate = threading.Event()
    taken, thread = Taken(gate=gate), started(most=2)
    thread.complete(0, taken.of(0))
    wait_until(lambda: thread._next == 1)
    for number in (1, 2):
        thread.complete(number, taken.of(number))
    fourth = threading.Thread(target=thread.complete, args=[3, taken.of(3)])
    fourth.start()
    time.sleep(0.2)
    assert fourth.is_alive()
    gate.set()
    fourth.join(30.0)
    assert thread.drain(30.0)
    assert taken.results == [0, 1, 2, 3]


def test_stage_is_called_when_nothing_comes() -> None:
    called = threading.Event()

    def stage(batch: Sequence[Delivery]) -> Sequence[Delivery]:
        if not batch:
            called.set()
        return batch

    thread = started(stage=stage)
    assert called.wait(30.0)
    assert thread.drain(30.0)


def test_stage_sees_whole_batches_in_order_and_may_drop_results() -> None:
    seen: list[list[object]] = []

    def stage(batch: Sequence[Delivery]) -> Sequence[Delivery]:
        if batch:
            seen.append([each.result for each in batch])
        return batch[:1]

    taken, thread = Taken(), started(stage=stage)
    thread.complete(1, taken.of("c"))
    thread.complete(0, taken.of("a", "b"))
    assert thread.drain(30.0)
    assert seen == [["a", "b"], ["c"]]
    assert taken.results == ["a", "c"]
