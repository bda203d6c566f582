"""Reads the number of each frame that the page shows, and the boxes that it shows with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.live.coded import BITS, FPS
from tests.live.found import result

from .scene import lowered

if TYPE_CHECKING:
    from framelane.core.frames import Result
    from lab.browser import Tab

    from .scene import Camera

# Reads the number from the pixels that the page has drawn together with the boxes, which lie below it.
READ_NUMBERS = """
window.shown = [];
const scratch = document.createElement("canvas");
scratch.width = 640;
scratch.height = 480;
const context = scratch.getContext("2d", { willReadFrequently: true });
document.addEventListener("framelane:shown", (event) => {
  const { still = false, found, exact, captured, size = [320, 240] } = event.detail;
  const source = event.target.querySelector(still ? "canvas.still" : "canvas.boxes");
  const scale = Math.min(source.width / size[0], source.height / size[1]);
  const [width, height] = [size[0] * scale, size[1] * scale];
  const place = [(source.width - width) / 2, (source.height - height) / 2, width, height];
  context.drawImage(source, ...place, 0, 0, ...size);
  const { data } = context.getImageData(0, 8, 320, 1);
  let number = 0;
  for (let bit = 0; bit < BITS; bit += 1) if (data[4 * (16 * bit + 8)] > 128) number += 1 << bit;
  const boxes = found.flatMap((each) => each.boxes.map((box) => box[0]));
  window.shown.push({ still, number, boxes, exact, captured, size, at: Date.now() / 1000 });
});
""".replace("BITS", str(BITS))
LEFT = 200
"""The recording has 200 pictures, and then begins again."""


def tracked(number: int) -> Result:
    """One object that keeps its id."""
    both = lowered(result(number % LEFT, 2)).detections
    return replace(result(number), detections=both.select(np.array([1])))


def shown(tab: Tab, count: int, timeout_s: float = 90.0) -> list[dict[str, Any]]:
    """The first frames of video that the page showed."""
    tab.wait_for(f"window.shown.filter((each) => !each.still).length >= {count}", timeout_s)
    found: list[dict[str, Any]] = tab.run("window.shown.filter((each) => !each.still)")
    return found


def after_a_gap(tab: Tab, camera: Camera) -> list[dict[str, Any]]:
    """The frames that the page showed after three seconds without pictures and a reconnect."""
    shown(tab, FPS)
    camera.freeze = True
    tab.run("new Promise((done) => setTimeout(done, 3000))")
    camera.reconnect()
    camera.freeze = False
    tab.run("window.shown = []")
    return shown(tab, 2 * FPS)


def strangers(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Frames with the boxes of another frame."""
    return [
        each
        for each in frames
        if each["exact"] and [round(left) % LEFT for left in each["boxes"]] != [each["number"] % LEFT]
    ]
