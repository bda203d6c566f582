from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framelane.live.decode_times import FIRST_DELAY_TICKS, DecodeTimes

FRAME = 3600


def place(shown: list[int]) -> list[tuple[int, int]]:
    times = DecodeTimes()
    return [times.place(each) for each in shown]


def test_pictures_in_order_are_decoded_a_fixed_time_before_they_are_shown() -> None:
    shown = [number * FRAME for number in range(50)]
    assert [decode + FIRST_DELAY_TICKS for decode, _ in place(shown)] == shown


def test_reordered_pictures_are_decoded_before_they_are_shown() -> None:
    """Each group of three is sent as 3, 1, 2."""
    shown = [0, *(FRAME * (3 * group + each) for group in range(20) for each in (3, 1, 2))]
    placed = place(shown)
    assert all(decode <= show for (decode, _), show in zip(placed[10:], shown[10:], strict=True))
    assert [duration for _, duration in placed[10:]] == [FRAME] * (len(shown) - 10)


@pytest.mark.parametrize("gap", [3, 10, 500])
def test_a_gap_makes_no_large_step_and_is_caught_up(gap: int) -> None:
    shown = [number * FRAME for number in (*range(20), *range(20 + gap, 20 + gap + 2 * gap + 20))]
    placed = place(shown)
    assert steps_are_small(placed)
    assert placed[-1][0] == shown[-1] - FIRST_DELAY_TICKS


@given(st.lists(st.integers(-20 * FRAME, 40 * FRAME), min_size=2, max_size=60))
def test_any_times_give_increasing_small_steps(changes: list[int]) -> None:
    shown, at = [], 0
    for change in changes:
        at = max(at + change, 0)
        shown.append(at)
    placed = place(shown)
    assert all(later > earlier for (earlier, _), (later, _) in pairwise(placed))
    assert steps_are_small(placed)


def steps_are_small(placed: list[tuple[int, int]]) -> bool:
    """Media Source Extensions: a step of more than twice the last duration is a break."""
    return all(later - earlier <= 2 * duration for (earlier, duration), (later, _) in pairwise(placed))
