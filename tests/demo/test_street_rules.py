"""The demo's line and zone lie in view, and their truth is what the street itself does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from framelane.demo.cast import NOTHING
from framelane.demo.clips import DEMO_SEEDS
from framelane.demo.paths import Circuit
from framelane.demo.scene import Scene
from framelane.demo.street_rules import (
    GroundLine,
    TrueCount,
    clearest_line,
    line_looked_at,
    true_crossings,
    true_occupancy,
    zone_polygon,
)

SHOWN = DEMO_SEEDS[:4]
"""The streets that the demo shows, however many cameras it has."""
FRAMES = 180
FINE = 9_000


@pytest.fixture(scope="module", params=SHOWN)
def street(request: pytest.FixtureRequest) -> Scene:
    return Scene(request.param)


@pytest.fixture(scope="module")
def line(street: Scene) -> GroundLine:
    """The one that all ways over it count for."""
    found = line_looked_at(street)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", SHOWN)
def test_each_camera_of_the_demo_sees_its_line_and_its_zone(seed: int) -> None:
    scene = Scene(seed)
    width, height = scene.size_wh
    everyone = [frozenset(range(len(scene.actors)))] * FRAMES
    line = clearest_line(scene, everyone)
    assert line is not None
    left, right = line.points
    assert 0 < left[0] < right[0] < width
    assert right[0] - left[0] > width / 2
    zone = zone_polygon(scene, line)
    assert len(zone) <= 64
    assert zone.min() > 0
    assert (zone < (width, height)).all()
    assert cv2.contourArea(zone.astype(np.float32)) > 0.02 * width * height


def test_each_crossing_is_one_of_the_objects_path(street: Scene, line: GroundLine) -> None:
    """Of each object alone, compared with its path in steps fifty times as small."""
    for number, actor in enumerate(street.actors):
        if actor.still or actor.class_id == NOTHING:
            continue
        y = np.array([actor.path.at(phase).y for phase in np.linspace(0, 1, FINE + 1)]) - line.y_m
        crossed = ((y[:-1] < 0) != (y[1:] < 0)) & (np.abs(np.diff(y)) < 1.0)
        expected = np.flatnonzero(crossed) / FINE * street.loop_s
        found = [each for each in true_crossings(street, line, [{number}] * FRAMES) if not each.doubtful]
        assert [each.at_s for each in found] == pytest.approx(expected.tolist(), abs=0.02)
        assert [each.frame for each in found] == [
            int(at_s * FRAMES / street.loop_s + 1) % FRAMES for at_s in (each.at_s for each in found)
        ]
        if isinstance(actor.path, Circuit):
            assert sum(each.side for each in found) == 0


def test_side_is_where_the_object_is_in_the_image_afterwards(street: Scene, line: GroundLine) -> None:
    (x1, y1), (x2, y2) = line.points
    compared = 0
    for number, actor in enumerate(street.actors):
        for each in true_crossings(street, line, [{number}] * FRAMES):
            if each.doubtful:
                continue
            place = actor.path.at((each.at_s + 0.3) / street.loop_s)
            (u, v), depth = street.camera.project(np.array([place.x, place.y, 0.0]))
            if depth > 1:
                on_line = y1 + (u - x1) * (y2 - y1) / (x2 - x1)
                # The line goes to the right, so what is below it is right of it.
                assert each.side == (1 if v > on_line else -1)
                compared += 1
    assert compared


def test_crossing_is_doubtful_if_its_object_does_not_count_around_it(street: Scene, line: GroundLine) -> None:
    everyone = frozenset(range(len(street.actors)))
    sure = true_crossings(street, line, [everyone] * FRAMES)
    assert sure
    assert not any(each.doubtful for each in sure)
    first = sure[0].frame
    for gap, doubtful in ((first - 7, True), (first + 6, True), (first - 9, False), (first + 9, False)):
        counting = [everyone] * FRAMES
        counting[gap % FRAMES] = frozenset()
        assert true_crossings(street, line, counting)[0].doubtful is doubtful


def test_occupancy_holds_what_stands_in_the_polygon_and_is_sure_of_what_stays(
    street: Scene, line: GroundLine
) -> None:
    polygon = zone_polygon(street, line).astype(np.float32)
    everyone, nobody = frozenset(range(len(street.actors))), frozenset[int]()
    found = true_occupancy(street, line, [everyone] * FRAMES, [everyone] * FRAMES)
    for frame in range(FRAMES):
        inside = near = 0
        for actor in street.actors:
            place = actor.path.at(frame / FRAMES)
            (u, v), depth = street.camera.project(np.array([place.x, place.y, 0.0]))
            if actor.class_id == NOTHING or depth < 1:
                continue
            within = cv2.pointPolygonTest(polygon, (float(u), float(v)), measureDist=True)
            inside += within > 3
            near += abs(within) <= 3
        assert found[frame].sure <= inside + near
        assert inside <= found[frame].sure + found[frame].doubtful
    # On the fourth street everybody is at the border of the zone, or in it for a moment.
    assert (max(each.sure for each in found) > 0) == (street.seed != SHOWN[3])
    hidden = true_occupancy(street, line, [nobody] * FRAMES, [everyone] * FRAMES)
    assert [(each.sure, each.doubtful) for each in hidden] == [
        (0, each.sure + each.doubtful) for each in found
    ]
    absent = true_occupancy(street, line, [nobody] * FRAMES, [nobody] * FRAMES)
    assert set(absent) == {TrueCount(0, 0)}


def test_object_that_is_hidden_is_in_the_zone_again_after_half_a_second(
    street: Scene, line: GroundLine
) -> None:
    everyone = frozenset(range(len(street.actors)))
    before = true_occupancy(street, line, [everyone] * FRAMES, [everyone] * FRAMES)
    counting = [everyone] * FRAMES
    counting[100] = frozenset()
    after = true_occupancy(street, line, counting, [everyone] * FRAMES)
    # Half a second is 7.5 frames.
    assert [each.sure for each in after[100:109]] == [0] * 9
    assert after[:100] + after[109:] == before[:100] + before[109:]


def test_clearest_line_is_where_most_is_clear_and_clear_of_the_border(street: Scene) -> None:
    everyone, nobody = [frozenset(range(len(street.actors)))] * FRAMES, [frozenset[int]()] * FRAMES
    busy, calm = clearest_line(street, everyone), clearest_line(street, nobody)
    assert busy is not None
    assert calm is not None
    assert len(true_crossings(street, busy, everyone)) > len(true_crossings(street, calm, everyone))
    assert busy.points.min() > 0.1 * min(street.size_wh)
    assert (busy.points < np.array(street.size_wh) * 0.9).all()


def test_line_counts_what_passes_between_its_ends(street: Scene) -> None:
    everyone = [frozenset(range(len(street.actors)))] * FRAMES
    line = clearest_line(street, everyone)
    assert line is not None
    middle = (line.from_m + line.to_m) / 2
    parts = [
        true_crossings(street, GroundLine(line.y_m, *ends, line.points), everyone)
        for ends in ((-np.inf, line.from_m), (line.from_m, middle), (middle, line.to_m), (line.to_m, np.inf))
    ]
    whole = GroundLine(line.y_m, -np.inf, np.inf, line.points)
    assert len(parts[1]) + len(parts[2]) == len(true_crossings(street, line, everyone))
    assert sum(map(len, parts)) == len(true_crossings(street, whole, everyone))
