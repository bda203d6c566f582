"""Time stamps that lack, repeat or jump become times that only go forward."""

from __future__ import annotations

import pytest

from framelane.sources.timing.timeline import Timeline


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([0.0, 0.1, 0.2], [0.0, 0.1, 0.2], id="regular"),
        pytest.param([None, 0.1, 0.2], [0.0, 0.1, 0.2], id="first lacks its time stamp"),
        pytest.param([0.0, 0.1, None, 0.3], [0.0, 0.1, 0.2, 0.3], id="one lacks"),
        pytest.param([0.0, 0.1, 9.0], [0.0, 0.1, 9.0], id="a gap stays a gap"),
        pytest.param([5.0, 5.1, 0.0, 0.1], [5.0, 5.1, 5.2, 5.3], id="clock starts again"),
    ],
)
def test_place_goes_forward_when_time_stamps_misbehave(
    given: list[float | None], expected: list[float]
) -> None:
    timeline = Timeline(0.1)
    assert [timeline.place(pts_s) for pts_s in given] == pytest.approx(expected, abs=0.01)


def test_place_keeps_frames_apart_when_time_stamps_repeat() -> None:
    timeline = Timeline(0.1)
    times = [timeline.place(pts_s) for pts_s in (1.0, 1.0, 1.0, 1.1)]
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(1.1)


def test_place_steps_on_when_time_stamps_go_back_a_little() -> None:
    timeline = Timeline(0.1)
    times = [timeline.place(pts_s) for pts_s in (1.0, 1.2, 1.1, 1.3)]
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(1.3)


def test_restart_continues_time_when_a_short_clip_loops() -> None:
    timeline = Timeline(0.1)
    times = [timeline.place(index / 10) for index in range(3)]
    timeline.restart()
    times += [timeline.place(index / 10) for index in range(3)]
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


FPS = 25


def placed(stamps: list[float], arrivals: list[float] | None = None) -> list[float]:
    timeline = Timeline(1 / FPS)
    came = arrivals or [100 + number / FPS for number in range(len(stamps))]
    return [timeline.place(stamp, at_s) for stamp, at_s in zip(stamps, came, strict=True)]


@pytest.mark.parametrize("outlier_s", [37_600.0, -37_600.0, 2.0, -2.0, 0.6])
def test_an_outlier_changes_no_other_frames_time(outlier_s: float) -> None:
    right = [number / FPS for number in range(950)]
    stamps = [at_s + (outlier_s if number % 50 == 49 else 0) for number, at_s in enumerate(right)]
    found = placed(stamps)
    assert found == sorted(set(found))
    others = [number for number in range(950) if number % 50 != 49]
    assert [found[number] for number in others] == pytest.approx(
        [right[number] for number in others], abs=1e-6
    )
    assert found == pytest.approx(right, abs=0.05)


@pytest.mark.parametrize("jump_s", [-3600.0, -3.0, 3.0, 10_800.0])
def test_time_goes_on_over_a_jump_that_lasts(jump_s: float) -> None:
    stamps = [number / FPS + (jump_s if number > 400 else 0) for number in range(951)]
    assert placed(stamps)[-1] == pytest.approx(38.0, abs=0.1)


def test_a_gap_in_which_nothing_arrives_stays_one() -> None:
    stamps = [*(number / FPS for number in range(100)), 12.0, 12.04]
    arrivals = [*(100 + number / FPS for number in range(100)), 112.0, 112.04]
    assert placed(stamps, arrivals)[-2:] == pytest.approx([12.0, 12.04])


def test_pictures_that_the_network_holds_up_keep_their_times() -> None:
    """Some of them are skipped meanwhile, as those that come too late are."""
    stamps = [number / FPS for number in range(300) if not 110 < number < 190]
    arrivals = [100 + (8.0 if 4 <= stamp < 8 else stamp) for stamp in stamps]
    assert placed(stamps, arrivals) == pytest.approx(stamps)


def test_a_second_jump_right_after_the_first_is_one_more() -> None:
    stamps = [number / FPS + 500 * (number > 20) + 700 * (number > 21) for number in range(60)]
    assert placed(stamps)[-1] == pytest.approx(59 / FPS, abs=0.01)
