"""Boxes are drawn on the frame that they belong to: pictures and boxes both carry the picture's number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.live.coded import FPS

from .reading import LEFT, READ_NUMBERS, after_a_gap, shown, strangers, tracked
from .scene import Scene

if TYPE_CHECKING:
    from lab.browser import Browser


@pytest.mark.parametrize("kind", ["h264", "h264-bframes"])
def test_each_frame_has_its_own_boxes(browser: Browser, kind: str) -> None:
    with Scene(["cam"], kind=kind) as scene, browser.open(scene.url, before=READ_NUMBERS) as tab:
        frames = shown(tab, 6 * FPS)
        assert tab.complaints == []
    assert strangers(frames) == []
    settled = frames[2 * FPS :]
    # On a quiet machine all of them; scripts/bench_page.py measures that.
    assert sum(each["exact"] for each in settled) >= 0.5 * len(settled)


def test_tracked_objects_are_between_their_places_on_frames_between(browser: Browser) -> None:
    """One of three frames is inferred; the box moves one pixel per frame, so its place tells the frame."""

    def infer(number: int) -> bool:
        return number % 3 == 0

    with (
        Scene(["cam"], infer=infer, find=tracked) as scene,
        browser.open(scene.url, before=READ_NUMBERS) as tab,
    ):
        frames = shown(tab, 6 * FPS)
    settled = [each for each in frames[2 * FPS :] if each["boxes"]]
    assert len(settled) >= 0.5 * len(frames[2 * FPS :])
    assert {each["exact"] for each in settled} == {True, False}
    # Where the recording begins again, the number jumps back.
    moved = [abs(each["boxes"][0] - each["number"]) for each in settled if 3 < each["number"] < LEFT - 3]
    assert max(moved) < 0.1


def test_untracked_objects_are_left_out_on_frames_between(browser: Browser) -> None:
    def infer(number: int) -> bool:
        return number % 2 == 0

    with Scene(["cam"], infer=infer) as scene, browser.open(scene.url, before=READ_NUMBERS) as tab:
        frames = shown(tab, 4 * FPS)
    assert strangers(frames) == []
    assert all(not each["boxes"] for each in frames if not each["exact"])


def test_a_still_has_its_own_boxes(browser: Browser) -> None:
    """HEVC, which this browser does not play, shows as stills."""
    with Scene(["cam"], kind="hevc") as scene, browser.open(scene.url, before=READ_NUMBERS) as tab:
        tab.wait_for("window.shown.filter((each) => each.boxes.length).length >= 3")
        stills = tab.run("window.shown")
        assert tab.complaints == []
    assert all(each["still"] for each in stills)
    assert strangers(stills) == []


def test_video_goes_on_after_a_reconnect_and_a_gap(browser: Browser) -> None:
    with Scene(["cam"]) as scene, browser.open(scene.url, before=READ_NUMBERS) as tab:
        frames = after_a_gap(tab, scene.cameras["cam"])
        assert tab.complaints == []
    assert strangers(frames) == []


def test_video_comes_soon_and_soon_enough(browser: Browser) -> None:
    with Scene(["cam"]) as scene, browser.open(scene.url, before=READ_NUMBERS) as tab:
        frames = shown(tab, 8 * FPS)
    late_s = sorted(each["at"] - each["captured"] for each in frames[4 * FPS :])
    # A quiet machine shows 160 ms; this one may be busy.
    assert late_s[len(late_s) // 2] < 0.7
