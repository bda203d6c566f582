"""Lines and zones on the page: drawn on the picture, with what they count now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.live.found import result

from framelane.config.sections.stream import StreamConfig
from framelane.messages.events import LineState, ZoneState

from .scene import Scene

if TYPE_CHECKING:
    from framelane.core.frames import Result
    from lab.browser import Browser, Tab

CAM = StreamConfig.model_validate(
    {
        "id": "cam",
        "url": "rtsp://h/1",
        "track": True,
        "lines": {"street": {"points": [[0.1, 0.8], [0.9, 0.8]]}},
        "zones": {"yard": {"polygon": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.5], [0.2, 0.5]]}},
    }
)
# The color of the rules' canvas at a place of the picture, given from 0 to 1; the picture has 4 to 3.
PIXEL = """
(() => {
  const canvas = document.querySelector("canvas.rules");
  const scale = Math.min(canvas.width / 4, canvas.height / 3);
  const x = (canvas.width - 4 * scale) / 2 + X * 4 * scale;
  const y = (canvas.height - 3 * scale) / 2 + Y * 3 * scale;
  return [...canvas.getContext("2d").getImageData(Math.round(x), Math.round(y), 1, 1).data];
})()
"""
ROWS = "[...document.querySelectorAll('.rule-table tbody tr')].map((row) => row.innerText.replaceAll('\\t', ' | '))"
UNKNOWN_RGB = np.array([0xB6, 0xBE, 0xC7])


def pixel(tab: Tab, x: float, y: float) -> list[int]:
    found: list[int] = tab.run(PIXEL.replace("X", str(x)).replace("Y", str(y)))
    return found


def scene_with_rules() -> Scene:
    scene = Scene(["cam"])
    scene.streams = lambda: [CAM]
    return scene


def test_lines_and_zones_are_drawn_where_they_are_and_say_what_they_count(browser: Browser) -> None:
    with scene_with_rules() as scene, browser.open(scene.url + "#/stream/cam") as tab:
        scene.counts.states = [
            LineState("cam", "street", "person", 2, 1, 5.0, 9.0),
            ZoneState("cam", "yard", "person", 3, 5.0, 9.0),
        ]
        tab.wait_for(f"{ROWS}.length === 2 && !document.querySelector('.rule-table .unknown')")
        assert tab.run(ROWS) == [
            "street line | 2 left, 1 right | person 2, 1",
            "yard zone | 3 inside | person 3",
        ]
        tab.wait_for("document.querySelector('canvas.still').hidden")
        yellow, cyan = pixel(tab, 0.3, 0.8), pixel(tab, 0.2, 0.35)
        assert (yellow[:3], cyan[:3]) == ([0xFF, 0xD8, 0x4D], [0x5E, 0xE0, 0xFF])
        assert pixel(tab, 0.05, 0.05)[3] == 0
        # The next count, without anything being asked for.
        scene.counts.states = [LineState("cam", "street", "person", 3, 1, 5.0, 9.0)]
        tab.wait_for(f"{ROWS}[0].includes('3 left, 1 right')", 5.0)


def test_unknown_counts_are_gray_and_never_0(browser: Browser) -> None:
    with scene_with_rules() as scene, browser.open(scene.url + "#/stream/cam") as tab:
        scene.counts.counting = False
        tab.wait_for("document.querySelectorAll('.rule-table .unknown').length === 2")
        assert tab.run(ROWS) == [
            "street line | \u2013 left, \u2013 right | not known now",
            "yard zone | \u2013 inside | not known now",
        ]
        tab.wait_for("document.querySelector('canvas.still').hidden")
        # Dashes: some of these pixels are between two.
        colors = [pixel(tab, x, 0.8) for x in np.linspace(0.2, 0.35, 40)]
        painted = np.array([each[:3] for each in colors if each[3] == 255])
        assert np.abs(painted - UNKNOWN_RGB).sum(axis=1).min() == 0


def test_counts_are_unknown_while_the_daemon_does_not_answer(browser: Browser) -> None:
    with scene_with_rules() as scene, browser.open(scene.url + "#/stream/cam") as tab:
        scene.counts.states = [ZoneState("cam", "yard", "person", 3, 5.0, 9.0)]
        tab.wait_for(f"{ROWS}[1]?.includes('3 inside')")
        scene._server.stop(5.0)
        tab.wait_for(f"{ROWS}[1].includes('\u2013 inside')")


def test_tiles_of_the_wall_show_rules_too(browser: Browser) -> None:
    with scene_with_rules() as scene, browser.open(scene.url) as tab:
        scene.counts.states = [ZoneState("cam", "yard", "person", 3, 5.0, 9.0)]
        tab.wait_for("document.querySelector('canvas.still')?.hidden")
        tab.wait_for(f"{PIXEL.replace('X', '0.2').replace('Y', '0.35')}[3] > 200")


def inside(number: int) -> Result:
    found = result(number)
    zones = np.empty(1, np.object_)
    zones[0] = ("yard",)
    object.__setattr__(found.detections, "zones", zones)
    return found


def test_objects_say_in_which_zones_they_are(browser: Browser) -> None:
    """What is drawn is what the page got; the text itself is on a canvas."""
    texts = (
        "window.texts = new Set(); const draw = CanvasRenderingContext2D.prototype.fillText;"
        "CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {"
        "  window.texts.add(text); return draw.call(this, text, ...rest); };"
    )
    with (
        Scene(["cam"], find=inside) as scene,
        browser.open(scene.url + "#/stream/cam", before=texts) as tab,
    ):
        tab.wait_for("[...window.texts].some((each) => each.endsWith('50 %, in yard'))")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([[10, 10, 50, 18], [10, 40, 50, 18]], [[10, 10, 50, 18], [10, 40, 50, 18]]),
        # Nearly at one place: the second goes below, the third above.
        (
            [[40, 40, 50, 18], [42, 44, 50, 18], [40, 38, 50, 18]],
            [[40, 40, 50, 18], [42, 60, 50, 18], [40, 20, 50, 18]],
        ),
        # A short way to the side.
        ([[40, 40, 50, 18], [85, 40, 50, 18]], [[40, 40, 50, 18], [92, 40, 50, 18]]),
        # At an edge, and no way down.
        ([[-5, 95, 50, 18], [-5, 95, 50, 18]], [[0, 82, 50, 18], [0, 62, 50, 18]]),
        # No room at all.
        ([[0, 0, 200, 100], [5, 5, 50, 18]], [[0, 0, 200, 100], [5, 5, 50, 18]]),
    ],
)
def test_labels_do_not_cover_each_other(
    browser: Browser, wanted: list[list[int]], expected: list[list[int]]
) -> None:
    with Scene([]) as scene, browser.open(scene.url) as tab:
        script = f"import('/page/label_places.js').then(({{ apart }}) => apart({wanted}, [200, 100]))"
        assert tab.run(script) == expected


def test_many_labels_find_room(browser: Browser) -> None:
    script = """
    import("/page/label_places.js").then(({ apart }) => {
      const places = apart(Array.from({ length: 40 }, (_, n) => [300 + (n % 7), 200 + (n % 5), 80, 18]), [640, 480]);
      const covers = (a, b) => a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3];
      return places.filter((one) => places.some((other) => one !== other && covers(one, other))).length;
    })
    """
    with Scene([]) as scene, browser.open(scene.url) as tab:
        assert tab.run(script) == 0
