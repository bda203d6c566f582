"""Results come in frame order, whichever slot is first."""

from __future__ import annotations

import random
import threading

from framelane.inference.inorder import InOrder


def test_results_wait_for_the_batch_before_when_it_is_slower() -> None:
    delivered: list[object] = []
    in_order = InOrder(delivered.append)
    in_order.complete(1, ["c"])  # type: ignore[list-item]
    assert delivered == []
    in_order.complete(0, ["a", "b"])  # type: ignore[list-item]
    assert delivered == ["a", "b", "c"]


def test_later_batches_go_on_when_one_failed() -> None:
    delivered: list[object] = []
    in_order = InOrder(delivered.append)
    in_order.complete(0, [])
    in_order.complete(1, ["b"])  # type: ignore[list-item]
    assert delivered == ["b"]


def test_order_holds_when_many_threads_complete_at_once() -> None:
    delivered: list[object] = []
    in_order = InOrder(delivered.append)
    numbers = list(range(400))
    random.Random(7).shuffle(numbers)
    shares = [numbers[start::4] for start in range(4)]

    def complete(share: list[int]) -> None:
        for number in share:
            in_order.complete(number, [number])  # type: ignore[list-item]

    threads = [threading.Thread(target=complete, args=[share]) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert delivered == list(range(400))
