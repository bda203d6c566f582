"""The scene renderer keeps its promises: repeatable, seamless, and right about what it drew."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from framelane.demo.cast import BICYCLE, NOTHING, PERSON
from framelane.demo.clips import DEMO_SEEDS
from framelane.demo.scene import CLASS_NAMES, HELD_OUT_SEEDS, Scene

SMALL_WH = (320, 240)


@pytest.fixture(scope="module")
def street() -> Scene:
    return Scene(31)


def test_scene_repeats_itself_when_the_seed_is_the_same() -> None:
    first, first_truth = Scene(7, SMALL_WH).render(3.2)
    again, again_truth = Scene(7, SMALL_WH).render(3.2)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first_truth.xyxy, again_truth.xyxy)


def test_scene_repeats_itself_when_rendered_out_of_order(street: Scene) -> None:
    expected, _ = street.render(1.0)
    street.render(9.0)
    np.testing.assert_array_equal(expected, street.render(1.0)[0])


def test_scene_differs_when_the_seed_differs() -> None:
    one, other = Scene(7, SMALL_WH).render(0.0)[0], Scene(8, SMALL_WH).render(0.0)[0]
    assert np.abs(one.astype(int) - other).mean() > 10


@pytest.mark.parametrize("size_wh", [(640, 480), (321, 243), (480, 640)])
def test_boxes_stay_in_the_image_when_the_size_varies(size_wh: tuple[int, int]) -> None:
    for seed in range(4):
        scene = Scene(seed, size_wh)
        for t_s in (0.0, 5.3):
            image, truth = scene.render(t_s)
            assert image.shape == (size_wh[1], size_wh[0], 3)
            assert (truth.xyxy[:, :2] >= 0).all()
            assert (truth.xyxy[:, 2:] <= np.array(size_wh)).all()
            assert (truth.xyxy[:, 2:] > truth.xyxy[:, :2]).all()
            assert set(truth.class_id.tolist()) <= set(range(len(CLASS_NAMES)))
            assert ((truth.visible > 0) & (truth.visible <= 1)).all()


@pytest.mark.parametrize("seed", [1, 31, 37])
def test_motion_has_no_seam_when_the_loop_starts_again(seed: int) -> None:
    scene = Scene(seed, SMALL_WH)
    last, first = scene.render(scene.loop_s - 1 / scene.fps), scene.render(0.0)
    before = scene.render(scene.loop_s - 2 / scene.fps)
    usual = np.abs(last[0].astype(int) - before[0]).mean()
    assert np.abs(first[0].astype(int) - last[0]).mean() < usual * 1.5 + 0.5
    np.testing.assert_array_equal(first[0], scene.render(scene.loop_s)[0])


def test_objects_move_smoothly_when_time_goes_on(street: Scene) -> None:
    for t_s in (2.0, 6.0):
        one, two = street.render(t_s)[1], street.render(t_s + 1 / 60)[1]
        common = {int(a) for a in one.actor[~one.ignore]} & {int(a) for a in two.actor[~two.ignore]}
        assert common
        for actor in common:
            jump = np.abs(one.xyxy[one.actor == actor] - two.xyxy[two.actor == actor]).max()
            assert jump <= 12


def test_truth_matches_the_pixels_when_the_object_is_taken_away() -> None:
    compared = 0
    for seed in (24, 31):  # nobody here wears the color of what is behind
        scene = Scene(seed)
        image, truth = scene.render(7.0)
        for i in np.flatnonzero(~truth.ignore):
            actor = int(truth.actor[i])
            if scene.actors[actor].still or scene.air.lamps_on:
                continue
            without, _ = scene.render(7.0, hide=frozenset({actor}))
            changed = np.abs(image.astype(int) - without).max(axis=2) > 8
            x, y, w, h = cv2.boundingRect(changed.astype(np.uint8))
            np.testing.assert_allclose(truth.xyxy[i], (x, y, x + w, y + h), atol=2)
            compared += 1
    assert compared >= 12


def test_rider_and_bicycle_are_two_objects_when_ridden() -> None:
    scene = Scene(31)
    riders = [a for a in scene.actors if a.crank_turns is not None]
    ridden = [a for a in scene.actors if a.class_id == BICYCLE and not a.still]
    assert len(riders) == len(ridden) > 0
    assert all(rider.class_id == PERSON for rider in riders)
    assert [rider.path for rider in riders] == [bicycle.path for bicycle in ridden]


def test_furniture_is_never_an_object_when_rendered(street: Scene) -> None:
    _, truth = street.render(0.0)
    assert all(street.actors[int(actor)].class_id != NOTHING for actor in truth.actor)


def test_hidden_and_tiny_objects_are_ignored_when_measured() -> None:
    for seed in range(3):
        _, truth = Scene(seed).render(4.0)
        size = truth.xyxy[:, 2:] - truth.xyxy[:, :2]
        assert truth.ignore[truth.visible < 0.4].all()
        assert truth.ignore[size.max(axis=1, initial=0) < 40].all()


def test_held_out_seeds_hold_the_demo_when_trained_elsewhere() -> None:
    assert len(DEMO_SEEDS) == len(set(DEMO_SEEDS))
    assert all(seed in HELD_OUT_SEEDS for seed in DEMO_SEEDS)
