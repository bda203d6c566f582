"""What a subscriber of the demo makes of its messages."""

from __future__ import annotations

from typing import Any

from framelane.demo.watcher import Watched


def event(
    kind: str, direction: str | None = None, total: int | None = None, label: str = "car"
) -> dict[str, Any]:
    return {
        "schema": "framelane.event/1",
        "kind": kind,
        "direction": direction,
        "total": total,
        "object": {"label": label},
    }


def zone(label: str, count: int | None) -> dict[str, Any]:
    return {"schema": "framelane.zone/1", "label": label, "count": count, "known": count is not None}


def test_crossings_are_the_sum_of_the_newest_totals_of_all_labels() -> None:
    watched = Watched()
    for message in (
        event("line", "left", 1),
        event("line", "left", 2),
        event("line", "left", 1),  # it comes twice
        event("line", "left", 1, "person"),
        event("line", "right", 5),
        event("zone_enter", None, 9),
        event("new"),
    ):
        watched.take(message)
    assert (watched.crossed("left"), watched.crossed("right")) == (3, 5)


def test_objects_in_the_zone_are_unknown_until_a_label_is_known() -> None:
    watched = Watched()
    seen = []
    for message in (
        zone("car", None),
        zone("car", 0),
        zone("person", 2),
        zone("car", 3),
        zone("person", None),
    ):
        watched.take(message)
        seen.append(watched.inside)
    assert seen == [None, 0, 2, 5, 3]
