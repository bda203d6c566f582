"""What second models say of objects shows over their boxes, as text and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from framelane.core.attributes import Attribute, Part

from .scene import Scene, found
from .test_page import HOSTILE, Editor

if TYPE_CHECKING:
    from framelane.core.frames import Result
    from lab.browser import Browser

READ_WORDS = """
window.words = new Set();
const fill = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  window.words.add(text);
  return fill.call(this, text, ...rest);
};
"""
LONG = "x" * 80


def told(number: int) -> Result:
    """One object with three attributes, one of them a detector's."""
    plain = found(number)
    parts = tuple(Part(label, 0.9, (0.0, 0.0, 9.0, 9.0)) for label in ("eye", "nose"))
    attributes = np.empty(1, np.object_)
    attributes[0] = (
        Attribute("color", "red", 0.9, 1.0),
        Attribute("faces", "eye", 0.9, 1.0, parts),
        Attribute(HOSTILE, LONG, 0.9, 1.0),
    )
    return replace(plain, detections=replace(plain.detections, attributes=attributes))


@pytest.mark.parametrize(
    ("cameras", "view", "expected"),
    [
        (9, "", f"red, eye, nose, {LONG[:31]}\u2026"),
        (1, "#/stream/cam0", f"color: red, faces: eye, nose, {HOSTILE[:31]}\u2026: {LONG[:31]}\u2026"),
    ],
    ids=["small", "large"],
)
def test_attributes_stand_behind_the_label(browser: Browser, cameras: int, view: str, expected: str) -> None:
    names = [f"cam{number}" for number in range(cameras)]
    with (
        Scene(names, editor=Editor(), find=told) as scene,
        browser.open(scene.url + view, before=READ_WORDS) as tab,
    ):
        tab.wait_for("[...window.words].some((text) => text.startsWith('person'))")
        words = {text for text in tab.run("[...window.words]") if text.startswith("person")}
        assert {text.partition(", ")[2] for text in words} == {expected}
        assert tab.run("window.hacked === undefined && document.querySelectorAll('img[src=x]').length === 0")
        assert tab.complaints == []
