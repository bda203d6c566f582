"""How a measurement is divided."""

from __future__ import annotations

import pytest

from lab.daemon_run import Window, next_due


@pytest.mark.parametrize(
    ("seconds", "ends_s"),
    [(3.0, [3.0]), (10.0, [5.0, 10.0]), (12.0, [5.0, 12.0]), (13.0, [5.0, 10.0, 13.0])],
)
def test_measurement_is_divided_into_spans_of_which_none_is_short(
    seconds: float, ends_s: list[float]
) -> None:
    window = Window(1, 0.0, seconds, span_s=5.0)
    found: list[float] = []
    due_s = next_due(0.0, window)
    while due_s is not None:
        found.append(due_s)
        due_s = next_due(due_s, window)

    assert found == ends_s
