"""Figures of a stream, and the log of the node."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.live.found import MODEL, result

from .scene import Scene
from .test_page import HOSTILE

if TYPE_CHECKING:
    from lab.browser import Browser

PLOT = "[...document.querySelectorAll('.plot')].find((each) => each.textContent.startsWith('Objects'))"
LINES = "[...document.querySelectorAll('.log-text')].map((each) => each.textContent)"
END = (
    "(({ scrollTop, scrollHeight, clientHeight }) => scrollHeight - scrollTop - clientHeight < 24)"
    "(document.querySelector('.log-lines'))"
)


def test_objects_are_plotted_by_label_with_a_line_for_all_others(browser: Browser) -> None:
    labels = tuple(f"label-{number}" for number in range(20))
    found = result(1, 20)
    several = replace(
        found,
        model=replace(MODEL, labels=labels),
        detections=replace(found.detections, class_id=np.array([0, 0, 0, 1, 1, *range(2, 17)], np.int32)),
    )
    with Scene(["cam"]) as scene, browser.open(scene.url + "#/stream/cam") as tab:
        scene.seen = several
        tab.wait_for(f"{PLOT}?.querySelectorAll('.key').length === 6", 90)
        keys = tab.run(f"[...{PLOT}.querySelectorAll('.key')].map((each) => each.textContent)")
        assert (keys[0], keys[-1]) == ("label-0", "others")
        tab.wait_for(
            f"{PLOT}.querySelector('.plot-said').textContent.startsWith('label-0 3.0, label-1 2.0')", 90
        )
        assert tab.run(f"{PLOT}.querySelectorAll('path').length") == 6


def log(scene: Scene, level: str, text: str) -> None:
    event = {"level": level, "timestamp": "2026-11-22T09:00:00.000000Z", "logger": "x", "event": text}
    scene.tail(None, level, event)


def test_the_log_follows_its_end_unless_it_is_being_read(browser: Browser) -> None:
    with Scene(["cam"]) as scene:
        for number in range(100):
            log(scene, "info", f"line-{number}")
        with browser.open(scene.url + "#/node", (1280, 1600)) as tab:
            tab.wait_for(f"{LINES}.length === 100 && {END}")
            log(scene, "info", "line-100")
            tab.wait_for(f"{LINES}.length === 101 && {END}")
            tab.run("document.querySelector('.log-lines').scrollTop = 0")
            tab.wait_for("document.querySelector('.log-foot p').textContent === 'Paused while you read.'")
            log(scene, "info", "line-101")
            tab.wait_for("document.querySelector('.log-foot button').textContent.startsWith('1 new')")
            assert tab.run("document.querySelector('.log-lines').scrollTop") == 0
            tab.run("document.querySelector('.log-foot button').click()")
            tab.wait_for(f"document.querySelector('.log-foot button').hidden && {END}")
            assert tab.complaints == []


def test_the_log_can_be_narrowed_to_faults(browser: Browser) -> None:
    with Scene(["cam"]) as scene, browser.open(scene.url + "#/node") as tab:
        tab.wait_for("document.querySelector('.log-foot p')?.textContent === 'No lines yet.'")
        for level in ("info", "warning", "error"):
            log(scene, level, level)
        tab.wait_for(f"{LINES}.join() === 'info,warning,error'")
        tab.run(
            "(() => { const field = document.getElementById('log-level');"
            "field.value = 'warning'; field.dispatchEvent(new Event('change')); })()"
        )
        tab.wait_for(f"{LINES}.join() === 'warning,error'")


@pytest.mark.parametrize("width", [360, 1280])
def test_lines_of_the_log_stay_text_and_fit(browser: Browser, width: int) -> None:
    with Scene(["cam"]) as scene, browser.open(scene.url + "#/node", (width, 740)) as tab:
        log(scene, "error", HOSTILE + "x" * 500)
        tab.wait_for(f"{LINES}.length === 1")
        assert tab.run(LINES) == [HOSTILE + "x" * 500]
        assert tab.run("window.hacked === undefined && document.querySelectorAll('img[src=x]').length === 0")
        assert tab.run("document.documentElement.scrollWidth") <= width
