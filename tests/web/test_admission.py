from __future__ import annotations

from contextlib import ExitStack, suppress

import pytest

from framelane.web.admission import Admission
from framelane.web.problem import ProblemError


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


def admitted(admission: Admission, tries: int) -> int:
    """Return how many of `tries` consecutive requests are admitted."""
    count = 0
    for _ in range(tries):
        with suppress(ProblemError), admission.enter():
            count += 1
    return count


def test_admission_limits_requests_at_once() -> None:
    admission = Admission(2, None, Clock())
    with ExitStack() as active:
        for _ in range(2):
            active.enter_context(admission.enter())
        with pytest.raises(ProblemError) as caught, admission.enter():
            raise AssertionError
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    assert caught.value.detail == "2 requests are in progress (http.detect.in_flight): try again"
    assert admitted(admission, 100) == 100


def test_admission_frees_its_slot_when_a_request_fails() -> None:
    admission = Admission(1, None, Clock())
    for _ in range(3):
        with pytest.raises(KeyError), admission.enter():
            raise KeyError
    assert admitted(admission, 1) == 1


@pytest.mark.parametrize(("rate", "burst"), [(5.0, 5), (0.5, 1), (1.0, 1), (2.5, 2)])
def test_admission_allows_a_burst_of_one_second_and_then_the_rate(rate: float, burst: int) -> None:
    clock = Clock()
    admission = Admission(1, rate, clock)
    assert admitted(admission, 20) == burst
    let_in = 0
    for _ in range(400):
        clock.now_s += 0.05
        let_in += admitted(admission, 2)
    assert let_in == pytest.approx(20 * rate, abs=1)
    clock.now_s += 3600
    assert admitted(admission, 20) == burst


def test_request_that_finds_no_room_costs_no_token() -> None:
    admission = Admission(1, 2.0, Clock())
    with admission.enter():
        assert admitted(admission, 10) == 0
    assert admitted(admission, 10) == 1
