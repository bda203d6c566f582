"""The smallest recent value, over four pieces of the span."""

from __future__ import annotations

import pytest

from framelane.sources.timing.recent_minimum import RecentMinimum


def added(recent: RecentMinimum, *values: tuple[float, float]) -> list[float]:
    """The minimum after each value at its time."""
    return [recent.add(value, now_s) for value, now_s in values]


def test_add_returns_the_smallest_so_far_within_the_span() -> None:
    recent = RecentMinimum(4.0)
    assert added(recent, (3.0, 0.0), (5.0, 0.5), (2.0, 0.9), (4.0, 1.0), (9.0, 3.9)) == [
        3.0,
        3.0,
        2.0,
        2.0,
        2.0,
    ]


def test_add_forgets_a_value_when_four_pieces_have_followed() -> None:
    recent = RecentMinimum(4.0)
    steady = [(5.0, float(second)) for second in range(1, 6)]
    assert added(recent, (1.0, 0.0), *steady) == [1.0, 1.0, 1.0, 1.0, 5.0, 5.0]


def test_add_begins_a_piece_when_its_time_is_exactly_over() -> None:
    recent = RecentMinimum(4.0)
    added(recent, (1.0, 0.0), (2.0, 1.0), (3.0, 2.0), (4.0, 3.0))
    assert added(recent, (9.0, 3.999), (9.0, 4.0)) == [1.0, 2.0]


def test_add_compares_with_values_before_a_pause_however_long() -> None:
    recent = RecentMinimum(4.0)
    added(recent, (1.0, 0.0))
    assert added(recent, (5.0, 1e6), (5.0, 2e6), (5.0, 3e6), (5.0, 4e6)) == [1.0, 1.0, 1.0, 5.0]


@pytest.mark.parametrize(("value", "expected"), [(0.5, 0.5), (1.0, 1.0), (2.0, 1.0)])
def test_lower_only_lowers(value: float, expected: float) -> None:
    recent = RecentMinimum(4.0)
    recent.add(1.0, 0.0)
    recent.lower(value)
    assert expected == recent.value


def test_lower_keeps_time_as_it_is() -> None:
    recent = RecentMinimum(4.0)
    recent.add(5.0, 0.0)
    recent.lower(1.0)
    assert added(recent, *((5.0, float(second)) for second in range(1, 5))) == [1.0, 1.0, 1.0, 5.0]


def test_minimum_is_false_until_a_value_is_added() -> None:
    recent = RecentMinimum(4.0)
    recent.lower(1.0)
    assert not recent
    recent.add(0.0, 0.0)
    assert recent
