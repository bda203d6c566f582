"""When the demo's table begins to show figures."""

from __future__ import annotations

import pytest

from framelane.demo.warm_up import WarmUp

STARTING = None


@pytest.mark.parametrize(
    ("rates", "first_shown"),
    [
        ([40, 40, 40, 40, 40], 3),
        ([STARTING, STARTING, 3, 35, 40, 41, 39, 40], 6),
        ([12, 40, 80, 40, 40, 41, 40], 6),
        ([40, 40, STARTING, 40, 40, 40, 40], 6),
        ([40, 40, 40, 40, STARTING, 10], 3),
        ([0, 0, 0, 0], 3),
        ([10, 20] * 12, 19),
        ([10, 20, 10, 20], None),
    ],
)
def test_figures_are_shown_once_all_streams_are_live_at_a_steady_rate(
    rates: list[float | None], first_shown: int | None
) -> None:
    warm_up, shown = WarmUp(), []
    for rate in rates:
        warm_up.see(rate or 0.0, all_live=rate is not STARTING)
        shown.append(warm_up.over)
    assert (shown.index(True) if True in shown else None) == first_shown
    assert shown == sorted(shown)
