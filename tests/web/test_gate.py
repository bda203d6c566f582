from __future__ import annotations

from contextlib import ExitStack, suppress

import pytest

from framelane.web.gate import Gate
from framelane.web.problem import ProblemError


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


def admitted(gate: Gate, tries: int) -> int:
    """How many of so many requests, one after the other, are let in."""
    count = 0
    for _ in range(tries):
        with suppress(ProblemError), gate.enter():
            count += 1
    return count


def test_gate_lets_in_as_many_as_may_be_inside() -> None:
    gate = Gate(2, None, Clock())
    with ExitStack() as inside:
        for _ in range(2):
            inside.enter_context(gate.enter())
        with pytest.raises(ProblemError) as caught, gate.enter():
            raise AssertionError
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    assert caught.value.detail == "2 requests are at work (http.detect.in_flight): try again"
    assert admitted(gate, 100) == 100


def test_gate_makes_room_when_a_request_fails() -> None:
    gate = Gate(1, None, Clock())
    for _ in range(3):
        with pytest.raises(KeyError), gate.enter():
            raise KeyError
    assert admitted(gate, 1) == 1


@pytest.mark.parametrize(("rate", "burst"), [(5.0, 5), (0.5, 1), (1.0, 1), (2.5, 2)])
def test_gate_lets_in_a_second_s_worth_at_once_and_then_the_rate(rate: float, burst: int) -> None:
    clock = Clock()
    gate = Gate(1, rate, clock)
    assert admitted(gate, 20) == burst
    let_in = 0
    for _ in range(400):
        clock.now_s += 0.05
        let_in += admitted(gate, 2)
    assert let_in == pytest.approx(20 * rate, abs=1)
    clock.now_s += 3600
    assert admitted(gate, 20) == burst


def test_request_that_finds_no_room_costs_no_token() -> None:
    gate = Gate(1, 2.0, Clock())
    with gate.enter():
        assert admitted(gate, 10) == 0
    assert admitted(gate, 10) == 1
