"""Lines count what crosses them, once and in the right direction, whatever boxes do on the line."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from tests.analytics.rules.scene import START, Scene, ruleset, straight

# From left to right across the middle of the picture, at y = 250.
LEVEL = {"points": [[0.1, 0.5], [0.9, 0.5]]}


def crossings(scene: Scene) -> list[tuple[str | None, str | None]]:
    return [(each.rule, each.direction) for each in scene.of("line")]


@pytest.mark.parametrize("fps", [25.0, 12.5, 5.0, 2.0])
def test_crossing_is_counted_once_with_its_direction_and_instant_at_any_frame_rate(fps: float) -> None:
    scene = Scene(ruleset({"street": LEVEL}))
    # From y = 150 to y = 350 in 4 s; the line is crossed after 2 s.
    scene.walk(straight((500, 150), (500, 350), int(4 * fps) + 1), fps)
    assert crossings(scene) == [("street", "right")]
    assert scene.of("line")[0].at == pytest.approx(START + 2.0, abs=1e-6)


def test_left_is_left_when_walking_along_the_line() -> None:
    scene = Scene(ruleset({"street": LEVEL}))
    scene.walk(straight((500, 350), (500, 150), 41))
    assert crossings(scene) == [("street", "left")]
    turned = Scene(ruleset({"street": {"points": [[0.9, 0.5], [0.1, 0.5]]}}))
    turned.walk(straight((500, 350), (500, 150), 41))
    assert crossings(turned) == [("street", "right")]


def test_object_that_comes_back_counts_again() -> None:
    scene = Scene(ruleset({"street": LEVEL}))
    there, back = straight((500, 200), (500, 300), 21), straight((500, 300), (500, 200), 21)
    scene.walk([*there, *back, *there])
    assert crossings(scene) == [("street", "right"), ("street", "left"), ("street", "right")]
    assert [each.ordinal for each in scene.of("line")] == [1, 2, 3]
    assert len({each.object.id for each in scene.of("line")}) == 1


def test_jitter_of_half_a_band_counts_nothing_for_an_hour() -> None:
    scene = Scene(ruleset({"street": LEVEL}, objects=False))
    # The band is 15 % of 40 pixels; the object stands on the line itself.
    rng = np.random.default_rng(1)
    for index in range(3600 * 2):
        scene.frame(index / 2, (500, 250 + float(rng.uniform(-3, 3))))
    assert scene.events == []


@pytest.mark.parametrize("wide", [42.0, 50.0, 70.0])
def test_slow_crossing_is_counted_when_the_box_breathes(wide: float) -> None:
    """The band breathes with it, so the object is beyond it and within it in turns."""
    scene = Scene(ruleset({"street": LEVEL}))
    for index, foot in enumerate(straight((500, 235), (500, 265), 121)):
        scene.resize(40.0 if index % 2 else wide)
        scene.frame(index / 10, foot)
    assert crossings(scene) == [("street", "right")]


def test_turning_round_within_the_band_counts_nothing() -> None:
    scene = Scene(ruleset({"street": LEVEL}))
    scene.walk([*straight((500, 200), (500, 254), 28), *straight((500, 254), (500, 200), 28)])
    assert crossings(scene) == []


def test_walking_around_the_end_counts_nothing() -> None:
    scene = Scene(ruleset({"street": {"points": [[0.1, 0.5], [0.5, 0.5]]}}))
    corners = [(450.0, 200.0), (560.0, 200.0), (560.0, 300.0), (450.0, 300.0)]
    path = [point for a, b in pairwise(corners) for point in straight(a, b, 15)]
    scene.walk(path)
    assert crossings(scene) == []


def test_one_long_step_over_the_line_counts() -> None:
    scene = Scene(ruleset({"street": LEVEL}), size=120.0)
    scene.walk([(500, 120), (500, 170), (500, 220), (500, 280)], fps=2)
    assert crossings(scene) == [("street", "right")]


def test_boxes_far_from_the_line_count_too() -> None:
    scene = Scene(ruleset({"street": {**LEVEL, "min_boxes": 3}}), size=120.0)
    scene.walk([(500, 120), (500, 170), (500, 220), (500, 280), (500, 340), (500, 400)], fps=2)
    assert crossings(scene) == [("street", "right")]
    assert scene.of("line")[0].at == pytest.approx(START + 1.25, abs=1e-6)


@pytest.mark.parametrize(("gap_s", "expected"), [(1.0, 1), (1.9, 0)])
def test_crossing_does_not_span_a_longer_gap(gap_s: float, expected: int) -> None:
    scene = Scene(ruleset({"street": {**LEVEL, "max_gap_s": 1.5}}))
    end_s = scene.walk(straight((500, 200), (500, 236), 19))
    start_s = end_s + gap_s - 0.1
    scene.walk(straight((500, 200 + 20 * start_s), (500, 330), 30), start_s=start_s)
    assert len(crossings(scene)) == expected


def test_polyline_with_a_sharp_bend_counts_each_leg_and_no_wedge_behind_it() -> None:
    # A V that opens to the left: its corner points right.
    bend = {"points": [[0.2, 0.3], [0.6, 0.5], [0.2, 0.7]]}
    through = Scene(ruleset({"street": bend}))
    through.walk(straight((400, 100), (400, 400), 61))
    assert [direction for _, direction in crossings(through)] == ["right", "left"]
    behind = Scene(ruleset({"street": bend}))
    behind.walk(straight((640, 150), (640, 350), 61))
    assert crossings(behind) == []


def test_line_counts_its_classes_alone() -> None:
    scene = Scene(ruleset({"street": {**LEVEL, "classes": ["car"]}}))
    for index in range(41):
        y = 150 + 5.0 * index
        scene.frame(index / 10, (300, y), (700, y), classes=[0, 1])
    assert [each.object.label for each in scene.of("line")] == ["car"]


@pytest.mark.parametrize(("anchor", "y"), [("bottom", 250.0), ("center", 270.0), ("top", 290.0)])
def test_anchor_is_the_point_that_crosses(anchor: str, y: float) -> None:
    scene = Scene(ruleset({"street": {**LEVEL, "anchor": anchor}}))
    scene.walk(straight((500, y - 100), (500, y + 100), 41))
    assert scene.of("line")[0].at == pytest.approx(START + 2.0, abs=1e-3)


@pytest.mark.parametrize("boxes", [2, 3, 8])
def test_crossing_counts_at_the_last_of_min_boxes_with_the_instant_of_the_line(boxes: int) -> None:
    scene = Scene(ruleset({"street": {**LEVEL, "min_boxes": boxes}}))
    # 5 pixels per box; the band is 6 wide, so the first box beyond the line is that at y = 260.
    path = straight((500, 200), (500, 300), 21)
    end_s = scene.walk(path[: 11 + boxes])
    assert crossings(scene) == []
    scene.frame(end_s, path[11 + boxes])
    assert crossings(scene) == [("street", "right")]
    assert scene.of("line")[0].at == pytest.approx(START + 1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("min_boxes", "after", "expected"),
    [
        # Two boxes beyond the line, then back; whatever comes later starts from this side again.
        (2, [(500, 260), (500, 265), (500, 235)], ["right", None]),
        (3, [(500, 260), (500, 265), (500, 235)], [None, None]),
        (3, [(500, 260), (500, 265), (500, 235), (500, 270), (500, 275), (500, 280)], [None, "right"]),
        # Boxes within the band are no boxes in a row, and undo nothing.
        (2, [(500, 260), (500, 253), (500, 260), (500, 253)], [None, None]),
        (2, [(500, 260), (500, 253), (500, 260), (500, 265)], [None, "right"]),
        # The third box is on this side again, around the end of the line.
        (3, [(895, 260), (905, 262), (910, 240), (895, 235)], [None, None]),
    ],
)
def test_min_boxes_is_a_number_of_boxes_in_a_row(
    min_boxes: int, after: list[tuple[float, float]], expected: list[str | None]
) -> None:
    scene = Scene(ruleset({"street": {**LEVEL, "min_boxes": min_boxes}}))
    start_s = scene.walk(straight((after[0][0], 230), (after[0][0], 240), 5))
    scene.walk(after, start_s=start_s)
    assert [direction for _, direction in crossings(scene)] == [each for each in expected if each]


def test_object_that_comes_back_counts_again_with_min_boxes() -> None:
    scene = Scene(ruleset({"street": {**LEVEL, "min_boxes": 3}}))
    there, back = straight((500, 200), (500, 300), 21), straight((500, 300), (500, 200), 21)
    scene.walk([*there, *back, *there])
    assert [direction for _, direction in crossings(scene)] == ["right", "left", "right"]


@pytest.mark.parametrize(("gap_s", "expected"), [(1.0, ["right"]), (1.9, [])])
def test_boxes_beyond_a_line_are_not_in_a_row_across_a_longer_gap(gap_s: float, expected: list[str]) -> None:
    scene = Scene(ruleset({"street": {**LEVEL, "max_gap_s": 1.5, "min_boxes": 3}}))
    # The second box beyond the line is that at y = 260.
    end_s = scene.walk(straight((500, 230), (500, 260), 16))
    start_s = end_s + gap_s - 0.1
    scene.walk(straight((500, 262), (500, 300), 20), start_s=start_s)
    assert [direction for _, direction in crossings(scene)] == expected


@pytest.mark.parametrize(
    ("changed", "expected"), [({}, ["right"]), ({"max_gap_s": 1.0}, []), ({"min_boxes": 4}, [])]
)
def test_live_change_keeps_the_boxes_of_other_lines(changed: dict[str, float], expected: list[str]) -> None:
    line = {**LEVEL, "min_boxes": 3}
    scene = Scene(ruleset({"street": line}))
    start_s = scene.walk([(500, 230), (500, 235), (500, 240), (500, 260), (500, 265)])
    # Another line comes before it, so it gets another number.
    scene.rules = ruleset({"lane": {"points": [[0.1, 0.1], [0.1, 0.9]]}, "street": {**line, **changed}})
    scene.walk([(500, 270), (500, 275), (500, 280)], start_s=start_s)
    assert [direction for _, direction in crossings(scene)] == expected


def test_jumps_over_the_line_of_one_box_count_nothing_for_an_hour_with_two_boxes() -> None:
    scene = Scene(ruleset({"once": LEVEL, "twice": {**LEVEL, "min_boxes": 2}}, objects=False))
    # The feet are hidden now and then, so a box ends 20 pixels higher.
    rng = np.random.default_rng(1)
    hidden = False
    for index in range(3600 * 2):
        hidden = not hidden and bool(rng.random() < 0.1)
        scene.frame(index / 2, (500, (240 if hidden else 260) + float(rng.uniform(-3, 3))))
    assert {rule for rule, _ in crossings(scene)} == {"once"}


def test_many_random_walks_count_what_their_sides_say() -> None:
    """Ends of all walks are far from the line, so the net count is known without any rule."""
    rng = np.random.default_rng(3)
    for trial in range(40):
        scene = Scene(ruleset({"street": {"points": [[0.0, 0.5], [1.0, 0.5]]}}))
        y = float(rng.choice([100.0, 400.0]))
        start = y
        path = []
        for _ in range(int(rng.integers(1, 5))):
            end = float(rng.choice([100.0, 400.0]))
            path += straight((100.0 + 20 * trial, y), (100.0 + 20 * trial, end), 40)
            y = end
        jitter = rng.normal(0, 1.0, (len(path), 2))
        scene.walk([(a + float(dx), b + float(dy)) for (a, b), (dx, dy) in zip(path, jitter, strict=True)])
        net = sum(1 if direction == "right" else -1 for _, direction in crossings(scene))
        assert net == np.sign(y - start)
