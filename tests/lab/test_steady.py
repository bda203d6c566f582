from __future__ import annotations

import pytest

from framelane.measure.errors import BenchError
from lab.mps import PROGRAM, mps_daemon
from lab.steady import Steadiness


def first_steady_s(rates: list[float], wanted: float = 3000.0, streams: int = 10) -> int | None:
    """The second in which it is steady, told once a second of results that come at these rates."""
    steadiness = Steadiness(wanted, streams, seconds=5.0)
    count = 0.0
    steadiness.note(0.0, 0)
    for second, rate in enumerate(rates, 1):
        count += rate
        if steadiness.note(float(second), int(count)):
            return second
    return None


def test_steady_once_the_rate_has_held_for_the_whole_time() -> None:
    assert first_steady_s([3000.0] * 8) == 5


@pytest.mark.parametrize("rate", [2900.0, 3100.0])
def test_never_steady_when_files_lag_or_catch_up(rate: float) -> None:
    assert first_steady_s([rate] * 30) is None


def test_steady_only_after_a_start_has_been_caught_up() -> None:
    assert first_steady_s([4500.0, 4500.0, 4500.0, *[3000.0] * 10]) == 8


def test_mps_says_what_is_missing_when_the_driver_brought_no_such_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchError, match=PROGRAM), mps_daemon():
        pass
