"""Which results are due, one model of one stream."""

from __future__ import annotations

from typing import Any

import pytest

from framelane.config.sections.publish import PublishConfig
from framelane.sinks.selection import Selection


def reasons(selection: Selection, *results: tuple[float, bool]) -> list[str | None]:
    """Why each result, with its time and whether it is empty, is left out."""
    return [selection.left_out(empty=empty, now_s=now_s) for now_s, empty in results]


@pytest.mark.parametrize(
    ("indexes", "expected"),
    [([0, 1, 2], 0), ([3], 3), ([0, 5], 4), ([7, 2], 9), ([7, 7], 14), ([2, 0, 1], 2)],
)
def test_saw_counts_the_frames_between(indexes: list[int], expected: int) -> None:
    selection = Selection(PublishConfig())
    for index in indexes:
        selection.saw(index)
    assert expected == selection.dropped


@pytest.mark.parametrize("empty", ["always", "heartbeat", "never"])
def test_results_with_objects_are_always_due_without_a_rate(empty: Any) -> None:
    selection = Selection(PublishConfig(empty=empty))
    assert reasons(selection, *[(1.0, False)] * 3) == [None] * 3


def test_empty_results_are_due_at_each_heartbeat() -> None:
    selection = Selection(PublishConfig(empty="heartbeat", heartbeat_s=10.0))
    found = reasons(selection, *((at_s, True) for at_s in (0.0, 9.9, 10.0, 19.9, 35.0, 44.9)))
    assert found == [None, "empty", None, "empty", None, "empty"]


def test_a_heartbeat_counts_from_the_last_empty_message() -> None:
    selection = Selection(PublishConfig(empty="heartbeat", heartbeat_s=10.0))
    found = reasons(selection, (0.0, True), (4.0, False), (5.0, True), (14.9, True), (15.0, True))
    assert found == [None, None, None, "empty", None]


@pytest.mark.parametrize(("empty", "left"), [("always", None), ("heartbeat", None), ("never", "empty")])
def test_the_first_empty_result_after_objects_is_due_at_any_rate(empty: Any, left: str | None) -> None:
    selection = Selection(PublishConfig(empty=empty, max_rate=0.01))
    assert reasons(selection, (0.0, False), (0.1, False), (0.2, True)) == [None, "rate", left]


def test_a_rate_is_held_on_a_grid_with_a_tenth_of_an_interval_to_spare() -> None:
    selection = Selection(PublishConfig(max_rate=1.0))
    found = reasons(
        selection, *((at_s, False) for at_s in (0.0, 0.89, 0.91, 1.89, 1.91, 3.5, 3.89, 3.91, 4.89))
    )
    assert found == [None, "rate", None, "rate", None, None, "rate", None, "rate"]


def test_a_pause_begins_the_grid_again() -> None:
    selection = Selection(PublishConfig(max_rate=1.0))
    assert reasons(selection, (0.0, False), (7.3, False), (8.1, False), (8.3, False)) == [
        None,
        None,
        "rate",
        None,
    ]


def test_follow_begins_again_only_when_something_changes() -> None:
    selection = Selection(PublishConfig(max_rate=1.0))
    assert reasons(selection, (0.0, False)) == [None]
    selection.follow(PublishConfig(max_rate=1.0))
    assert reasons(selection, (0.1, False)) == ["rate"]
    selection.follow(PublishConfig(max_rate=2.0))
    assert reasons(selection, (0.2, False), (0.3, False), (0.7, False)) == [None, "rate", None]
