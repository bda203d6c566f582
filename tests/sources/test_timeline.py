"""Time stamps that lack, repeat or jump become times that only go forward."""

from __future__ import annotations

import pytest

from framelane.sources.timeline import Timeline


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
