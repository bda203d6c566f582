"""The search for the largest load, driven by machines that hold a known one."""

from __future__ import annotations

import pytest

from lab.search import LargestThatHolds


def searched(limit: int, guess: int, grid: int, most: int) -> tuple[int | None, list[int]]:
    search, tried = LargestThatHolds(guess, grid, most), []
    while (load := search.next) is not None:
        assert load not in tried
        tried.append(load)
        search.note(load, holds=load <= limit)
    return search.largest, tried


@pytest.mark.parametrize("limit", [4, 60, 100, 147, 148, 150, 151, 200, 399])
def test_finds_the_largest_load_when_given_time(limit: int) -> None:
    largest, tried = searched(limit, guess=148, grid=4, most=400)

    assert limit // 4 * 4 == largest
    assert len(tried) < 14


def test_stops_at_the_most_there_may_be() -> None:
    assert searched(10_000, guess=148, grid=4, most=200)[0] == 200


def test_finds_nothing_when_nothing_holds() -> None:
    largest, tried = searched(0, guess=12, grid=4, most=400)

    assert largest is None
    assert tried == [12, 8, 4]
