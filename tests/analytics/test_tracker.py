"""Objects keep their ids: in motion, hidden, crossing, at any frame rate, among many streams."""

from __future__ import annotations

import numpy as np
import pytest

from framelane.analytics.observations import Observation
from framelane.analytics.tracker import UNKNOWN, Tracker, Tuning

SIZE = 80.0


def seen(
    stream: str,
    at_s: float,
    *centers: tuple[float, float],
    classes: list[int] | None = None,
    weak: bool = False,
) -> Observation:
    middle = np.array(centers, np.float32).reshape(-1, 2)
    xyxy = np.concatenate((middle - SIZE / 2, middle + SIZE / 2), axis=1)
    class_id = np.array(classes or [0] * len(middle), np.int32)
    confidence = np.full(len(middle), 0.9, np.float32)
    return Observation(stream, at_s, xyxy, confidence, class_id, np.full(len(middle), weak))


def ids(tracker: Tracker, *observations: Observation) -> list[list[int]]:
    return [each.tolist() for each in tracker.update(observations).ids]


def test_an_object_gets_its_id_when_it_is_seen_again_and_keeps_it() -> None:
    tracker = Tracker()
    given = [ids(tracker, seen("a", index / 10, (100 + 5 * index, 100)))[0] for index in range(20)]
    assert given == [[UNKNOWN]] + [[1]] * 19
    assert tracker.tracks("a") == 1


def test_what_is_seen_once_gets_no_id() -> None:
    tracker = Tracker()
    assert ids(tracker, seen("a", 0.0, (100, 100))) == [[UNKNOWN]]
    assert ids(tracker, seen("a", 0.1)) == [[]]
    assert ids(tracker, seen("a", 0.2, (100, 100))) == [[UNKNOWN]]
    assert ids(tracker, seen("a", 0.3, (100, 100))) == [[1]]


@pytest.mark.parametrize("fps", [25.0, 12.5, 5.0])
def test_frame_rate_changes_nothing_for_an_object_that_moves(fps: float) -> None:
    tracker = Tracker()
    given = [ids(tracker, seen("a", n / fps, (100 + 150 * n / fps, 300)))[0][0] for n in range(int(4 * fps))]
    assert set(given[1:]) == {1}


@pytest.mark.parametrize(("hidden_s", "expected"), [(1.0, 1), (1.8, 1), (3.0, 2)])
def test_hidden_object_keeps_its_id_for_a_while(hidden_s: float, expected: int) -> None:
    tracker = Tracker()
    for index in range(20):
        ids(tracker, seen("a", index / 10, (100 + 4 * index, 100)))
    back_s = 1.9 + hidden_s
    for index in range(int(hidden_s * 10) - 1):
        ids(tracker, seen("a", 2.0 + index / 10))
    for at_s in (back_s, back_s + 0.1):
        given = ids(tracker, seen("a", at_s, (100 + 40 * at_s, 100)))
    assert given == [[expected]]


def test_two_that_cross_keep_their_ids() -> None:
    tracker = Tracker()
    for index in range(60):
        x = 100 + 10 * index
        given = ids(tracker, seen("a", index / 10, (x, 200), (800 - x, 240)))
    assert sorted(given[0]) == [1, 2]
    # The one that went right is still the first.
    assert given[0][0] == ids(Tracker(), seen("b", 0, (0, 0)), seen("c", 0, (0, 0)))[0][0] + 2 or given[
        0
    ] == [1, 2]


def test_an_object_of_another_class_is_another_object() -> None:
    tracker = Tracker()
    for index in range(3):
        ids(tracker, seen("a", index / 10, (100, 100), classes=[0]))
    for index in range(3):
        given = ids(tracker, seen("a", 0.3 + index / 10, (100, 100), (120, 100), classes=[0, 2]))
    assert given == [[1, 2]]


def test_boxes_vote_on_the_class_of_a_track() -> None:
    tracker = Tracker()
    for index, class_id in enumerate([2, 2, 7, 2, 7, 7, 7, 7]):
        given = ids(tracker, seen("a", index / 10, (100, 100), classes=[class_id]))
        voted = int(tracker.class_id.data[tracker.table.row("a"), 0])
        assert voted == (2 if index < 6 else 7)
    assert given == [[1]]


def test_a_held_track_waits_in_its_place() -> None:
    tracker = Tracker()
    for index in range(20):
        ids(tracker, seen("a", index / 10, (100, 100)))
    row = tracker.table.row("a")
    tracker.limit_s.data[row, 0] = 60.0
    # Something that passes by does not become it.
    for index in range(20):
        ids(tracker, seen("a", 5 + index / 10, (20 + 20.0 * index, 140)))
    assert tracker.tracks("a") == 2
    assert ids(tracker, seen("a", 40.0, (103, 100))) == [[1]]


def test_weak_detections_continue_a_track_and_begin_none() -> None:
    tracker = Tracker()
    assert ids(tracker, seen("a", 0.0, (500, 500), weak=True)) == [[UNKNOWN]]
    assert tracker.tracks("a") == 0
    for index in range(3):
        ids(tracker, seen("a", 0.1 + index / 10, (100, 100)))
    assert ids(tracker, seen("a", 0.4, (102, 100), weak=True)) == [[1]]
    assert ids(tracker, seen("a", 0.5, (104, 100))) == [[1]]


def test_streams_have_tracks_of_their_own_in_one_batch() -> None:
    tracker = Tracker()
    rng = np.random.default_rng(1)
    starts = {f"s{n}": rng.uniform(100, 1500, (n % 5, 2)) * [1, 0] + [0, 200] for n in range(40)}
    for index in range(5):
        batch = [
            seen(
                name, index / 10, *((x + 3 * index, y + 200 * k) for k, (x, y) in enumerate(places.tolist()))
            )
            for name, places in starts.items()
        ]
        given = ids(tracker, *batch)
    assert [sorted(each) for each in given] == [list(range(1, n % 5 + 1)) for n in range(40)]


@pytest.mark.parametrize("crowds", [(200,), (200, 150, 60), (300, 0, 1)])
def test_a_crowded_stream_in_a_batch_changes_no_other(crowds: tuple[int, ...]) -> None:
    """Nor does what is put together with what: each stream has the tracks that it has alone."""
    dice = np.random.default_rng(1)
    sizes = (*crowds, *[8] * 14)
    start, speed = dice.uniform(0, 1000, (len(sizes), 300, 2)), dice.normal(0, 20, (len(sizes), 300, 2))
    together, alone = Tracker(), [Tracker() for _ in sizes]
    most = 0
    for number in range(12):
        batch = []
        for stream, size in enumerate(sizes):
            # Every third frame of a stream shows half of its objects.
            count = size // 2 if (number + stream) % 3 == 0 else size
            corners = start[stream, :count] + speed[stream, :count] * number / 10
            box = np.concatenate((corners, corners + 40), axis=1).astype(np.float32)
            score = np.full(count, 0.9, np.float32)
            labels = np.arange(count, dtype=np.int32) % 2
            batch.append(Observation(stream, number / 10, box, score, labels, np.arange(count) % 7 == 6))
        tracked = together.update(batch)
        for stream, each in enumerate(batch):
            (own,) = alone[stream].update([each]).ids
            assert tracked.ids[stream].tolist() == own.tolist()
            places = tracked.places[stream, : len(own)]
            known = own > 0
            row = together.table.row(stream)
            assert together.id.data[row, places[known]].tolist() == own[known].tolist()
            most = max(most, int(own.max(initial=0)))
        capped = [each.capped(stream) for stream, each in enumerate(alone)]
        assert [together.capped(stream) for stream in range(len(sizes))] == capped
    assert most > max(crowds) // 2


def test_ids_go_on_when_tracks_end_and_when_a_stream_returns() -> None:
    tracker = Tracker()
    for index in range(2):
        ids(tracker, seen("a", index / 10, (100, 100)))
    tracker.end("a")
    assert tracker.tracks("a") == 0
    for index in range(2):
        given = ids(tracker, seen("a", 1 + index / 10, (100, 100)))
    assert given == [[2]]
    tracker.remove("a")
    for index in range(2):
        given = ids(tracker, seen("b", index / 10, (100, 100)), seen("a", 2 + index / 10, (100, 100)))
    assert given == [[1], [3]]


def test_more_objects_than_there_is_room_for_are_counted_and_cost_no_other() -> None:
    tracker = Tracker(Tuning(most=8))
    crowd = [(100.0 + 200 * (n % 10), 100.0 + 200 * (n // 10)) for n in range(20)]
    for index in range(3):
        given = ids(tracker, seen("a", index / 10, *crowd), seen("b", index / 10, (50, 50)))
    assert sorted(value for value in given[0] if value != UNKNOWN) == list(range(1, 9))
    assert given[1] == [1]
    assert (tracker.tracks("a"), tracker.capped("a"), tracker.capped("b")) == (8, 36, 0)


def test_memory_stays_bounded_when_streams_come_and_go() -> None:
    tracker = Tracker()
    for index in range(500):
        ids(tracker, seen(f"s{index}", 0.0, (100, 100)))
        tracker.remove(f"s{index}")
    assert len(tracker.table.counts) <= 8
