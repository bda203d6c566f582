"""Lines and zones are drawn, moved, named and saved on a stream's page, with mouse, finger and keyboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from .editing import CAM, serving

if TYPE_CHECKING:
    from pathlib import Path

    from lab.browser import Browser, Tab

    from .editing import Site

EDITOR = "document.querySelector('.rule-editor')"
SAID = f"{EDITOR}.querySelector('[role=status]').textContent"
PIXELS = """
(() => {
  const { width, height } = document.querySelector(".rule-points").getBoundingClientRect();
  return [width, height];
})()
"""
HOSTILE = '<img src=x onerror="window.hacked=1">'


def begin(tab: Tab) -> None:
    """Open the editor over a picture."""
    tab.wait_for("document.querySelector('.stage-note[hidden]') !== null")
    press_button(tab, "Edit lines and zones")
    tab.wait_for(f"{EDITOR} && !{EDITOR}.hidden")


def press_button(tab: Tab, text: str) -> None:
    """Press the visible button with this text, by keyboard."""
    same = f"each.offsetParent && each.textContent === {json.dumps(text)}"
    button = f"[...document.querySelectorAll('button')].find((each) => {same})"
    tab.wait_for(f"{button} !== undefined && !{button}.disabled")
    tab.run(f"{button}.focus()")
    tab.press("Enter")


def place(tab: Tab, x: float, y: float) -> tuple[float, float]:
    """A place of the picture, from 0 to 1, in pixels of the window."""
    found: list[float] = tab.run(
        "(() => { const points = document.querySelector('.rule-points'); points.scrollIntoView({ block: 'center' });"
        "  const { left, top, width, height } = points.getBoundingClientRect();"
        f" return [left + width * {x}, top + height * {y}]; }})()"
    )
    return found[0], found[1]


def handle(label: str) -> str:
    """A handle on the picture, by its accessible name."""
    return f"document.querySelector({json.dumps(f'.rule-points [aria-label={json.dumps(label)}]')})"


def focus(tab: Tab, label: str) -> None:
    tab.wait_for(f"{handle(label)} !== null")
    tab.run(f"{handle(label)}.focus()")


def fill(tab: Tab, label: str, text: str) -> None:
    """Replace what is in the open form's field of this name."""
    field = (
        "(() => { const label = [...document.querySelectorAll('.rule-body:not([hidden]) label')]"
        f".find((each) => each.textContent.startsWith({json.dumps(label)}));"
        " return document.getElementById(label.htmlFor); })()"
    )
    tab.run(f"{field}.focus(); {field}.select()")
    tab.write(text)


def save(tab: Tab, site: Site) -> None:
    committed = len(site.node.committed)
    press_button(tab, "Save")
    tab.wait_for(f"{EDITOR}.hidden")
    wait_until(lambda: len(site.node.committed) > committed)


def test_points_are_moved_by_keys_and_saved_with_nothing_else_changed(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        before, other = site.stream("cam"), site.stream("other")
        begin(tab)
        focus(tab, "Point 1 of 2 of line street")
        for key, shift in (
            ("ArrowRight", False),
            ("ArrowUp", True),
            ("ArrowLeft", False),
            ("ArrowDown", False),
        ):
            tab.press(key, shift=shift)
        width, height = tab.run(PIXELS)
        assert tab.run(f"{handle('Point 1 of 2 of line street')}.getAttribute('role')") == "slider"
        save(tab, site)
        expected = [0.1, 0.8 - 9 / height]
        assert site.stream("cam").lines["street"].points[0] == pytest.approx(expected, abs=2e-5)
        assert width > 100
        now = site.stream("cam").model_copy(update={"lines": before.lines})
        assert (now, site.stream("other")) == (before, other)
        assert "street" in site.stored("cam")
        assert tab.complaints == []


@pytest.mark.parametrize("finger", [False, True], ids=["mouse", "finger"])
def test_points_and_whole_zones_are_dragged(browser: Browser, tmp_path: Path, *, finger: bool) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        if finger:
            tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
        tab.drag(place(tab, 0.1, 0.8), place(tab, 0.3, 0.9), finger=finger)
        tab.drag(place(tab, 0.5, 0.4), place(tab, 0.6, 0.3), finger=finger)
        save(tab, site)
        cam = site.stream("cam")
        assert cam.lines["street"].points == [pytest.approx([0.3, 0.9], abs=0.01), [0.9, 0.8]]
        moved = [[0.3, 0.1], [0.9, 0.1], [0.9, 0.4], [0.3, 0.4]]
        assert cam.zones["yard"].polygon == [pytest.approx(each, abs=0.01) for each in moved]
        assert cam.zones["yard"].classes == ["person"]


def test_dragging_stops_at_the_edge_of_the_picture_and_keeps_the_shape(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        tab.click(place(tab, 0.5, 0.4))
        tab.drag(place(tab, 0.5, 0.4), place(tab, 0.95, 0.05))
        save(tab, site)
        edge = [[0.4, 0.0], [1.0, 0.0], [1.0, 0.3], [0.4, 0.3]]
        assert site.stream("cam").zones["yard"].polygon == [pytest.approx(each, abs=1e-4) for each in edge]


def test_lines_and_zones_are_drawn_with_the_mouse(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        press_button(tab, "Draw a line")
        tab.drag(place(tab, 0.2, 0.65), place(tab, 0.7, 0.65))
        tab.wait_for(f"{SAID}.startsWith('The line line-1 is added')")
        press_button(tab, "Draw a zone")
        for x, y in ((0.1, 0.6), (0.3, 0.6), (0.3, 0.9), (0.1, 0.6)):
            tab.click(place(tab, x, y))
        tab.wait_for(f"{SAID}.startsWith('The zone zone-1 is added')")
        save(tab, site)
        cam = site.stream("cam")
        assert cam.lines["line-1"].points == [
            pytest.approx([0.2, 0.65], abs=0.01),
            pytest.approx([0.7, 0.65], abs=0.01),
        ]
        assert len(cam.zones["zone-1"].polygon) == 3
        # What is drawn on the picture is what is in effect, without the editor.
        tab.wait_for("[...document.querySelectorAll('.rule-table tbody th')].length === 4")


def test_lines_and_zones_are_drawn_with_keys_alone(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        press_button(tab, "Draw a zone")
        tab.wait_for("document.activeElement.className === 'rule-cross'")
        for keys in ([], ["ArrowRight"] * 3, ["ArrowDown"] * 3):
            for key in keys:
                tab.press(key, shift=True)
            tab.press("Enter")
        press_button(tab, "Done")
        tab.wait_for(f"{SAID}.startsWith('The zone zone-1 is added')")
        assert tab.run("document.activeElement.getAttribute('aria-label')") == "Point 1 of 3 of zone zone-1"
        press_button(tab, "Draw a line")
        tab.press("Enter")
        tab.press("Escape")
        tab.wait_for(f"{SAID} === 'No line was added.'")
        width, height = tab.run(PIXELS)
        save(tab, site)
        corners = [[0.5, 0.5], [0.5 + 30 / width, 0.5], [0.5 + 30 / width, 0.5 + 30 / height]]
        assert site.stream("cam").zones["zone-1"].polygon == [
            pytest.approx(each, abs=1e-4) for each in corners
        ]
        assert list(site.stream("cam").lines) == ["street"]


def test_points_are_added_and_removed_down_to_the_fewest(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        focus(tab, "Point 1 of 2 of line street")
        focus(tab, "Add a point after point 1 of line street")
        tab.press("Enter")
        tab.wait_for("document.activeElement.getAttribute('aria-label') === 'Point 2 of 3 of line street'")
        tab.press("ArrowUp", shift=True)
        focus(tab, "Point 1 of 3 of line street")
        tab.press("Delete")
        tab.wait_for(f"{handle('Point 2 of 2 of line street')} !== null")
        tab.press("Delete")
        tab.wait_for(f"{SAID} === 'A line needs 2 points; remove the whole line instead.'")
        _, height = tab.run(PIXELS)
        save(tab, site)
        assert site.stream("cam").lines["street"].points == [
            pytest.approx([0.5, 0.8 - 10 / height], abs=1e-4),
            [0.9, 0.8],
        ]


def test_rules_are_renamed_timed_limited_to_classes_turned_and_removed(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        tab.run("document.querySelector('.rule.zone .rule-head').click()")
        fill(tab, "Name", "court")
        for label, value in (("Enters", "0.5"), ("Leaves", "2"), ("Loiters", "20")):
            fill(tab, label, value)
        fill(tab, "Classes", "car")
        tab.press("Enter")
        tab.run("document.querySelector('.rule.line .rule-head').click()")
        fill(tab, "Counts", "2")
        fill(tab, "Classes", "dog,")
        press_button(tab, "Swap left and right")
        save(tab, site)
        cam = site.stream("cam")
        court = cam.zones["court"]
        assert (list(cam.zones), court.classes) == (["court"], ["person", "car"])
        assert (court.enter_s, court.exit_s, court.loiter_s) == (0.5, 2.0, 20.0)
        street = cam.lines["street"]
        assert (street.points, street.classes) == ([[0.9, 0.8], [0.1, 0.8]], ["dog"])
        assert street.min_boxes == 2
        begin(tab)
        focus(tab, "Whole line street")
        tab.press("Delete")
        save(tab, site)
        assert (site.stream("cam").lines, list(site.stream("cam").zones)) == ({}, ["court"])


def test_the_sides_of_a_line_are_where_the_daemon_counts_them(browser: Browser, tmp_path: Path) -> None:
    """Left is as seen when walking from the first point to the last: above, for a line that goes right."""
    words = (
        "Object.fromEntries([...document.querySelectorAll('.rule-shapes .line text')]"
        ".map((each) => [each.textContent, each.getBoundingClientRect().top]))"
    )
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        tops = tab.run(words)
        assert tops["left"] < tops["right"]
        tab.run("document.querySelector('.rule.line .rule-head').click()")
        press_button(tab, "Swap left and right")
        tops = tab.run(words)
        assert tops["left"] > tops["right"]


def test_cancel_brings_everything_back(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        before = site.stream("cam")
        begin(tab)
        focus(tab, "Whole zone yard")
        tab.press("Delete")
        press_button(tab, "Cancel")
        tab.wait_for(f"{EDITOR}.hidden")
        begin(tab)
        tab.wait_for(f"{handle('Whole zone yard')} !== null")
        assert (site.stream("cam"), site.node.committed) == (before, [])


def test_findings_are_shown_at_their_rule(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        tab.run("document.querySelector('.rule.line .rule-head').click()")
        fill(tab, "Classes", "bicycle")
        tab.press("Enter")
        # The zone then crosses itself.
        tab.drag(place(tab, 0.2, 0.2), place(tab, 0.9, 0.35))
        press_button(tab, "Save")
        fault = "document.querySelector('.rule.{} .bad-text').textContent"
        tab.wait_for(f"{fault.format('zone')}.startsWith('crosses itself')")
        assert "bicycle" in tab.run(fault.format("line"))
        assert tab.run("document.querySelector('.rule.line .rule-body').hidden") is False
        assert site.node.committed == []
        # It is not told again once it is mended.
        press_button(tab, "Cancel")
        begin(tab)
        assert tab.run("document.querySelectorAll('.rule .bad-text:not([hidden])').length") == 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("street", "There is a line of this name already; choose another."),
        ("", "Give it a name of 1 to 64 letters"),
        (HOSTILE, "Give it a name of 1 to 64 letters"),
    ],
)
def test_names_that_can_not_be_are_told_before_anything_is_sent(
    browser: Browser, tmp_path: Path, name: str, told: str
) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        tab.run("document.querySelector('.rule.zone .rule-head').click()")
        fill(tab, "Name", name or " ")
        press_button(tab, "Save")
        tab.wait_for(
            f"document.querySelector('.rule.zone .bad-text').textContent.startsWith({json.dumps(told)})"
        )
        assert site.node.committed == []
        assert tab.run("window.hacked === undefined && document.querySelectorAll('img[src=x]').length === 0")


def test_a_stream_without_tracks_gets_them_with_its_first_rule(browser: Browser, tmp_path: Path) -> None:
    bare = "id: cam\nurl: rtsp://10.0.0.7/1\n"
    with serving(tmp_path, cam=bare) as site, browser.open(site.page) as tab:
        begin(tab)
        assert "There are no lines and zones yet." in tab.run(f"{EDITOR}.innerText")
        press_button(tab, "Draw a line")
        tab.drag(place(tab, 0.2, 0.65), place(tab, 0.7, 0.65))
        tab.wait_for(f"{EDITOR}.innerText.includes('Objects are not tracked yet')")
        save(tab, site)
        assert (site.stream("cam").track, list(site.stream("cam").lines)) == (True, ["line-1"])


def test_a_file_written_by_hand_is_explained_and_left_alone(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, by_hand=True) as site, browser.open(site.page) as tab:
        begin(tab)
        focus(tab, "Whole zone yard")
        tab.press("Delete")
        press_button(tab, "Save")
        tab.wait_for(f"{EDITOR}.innerText.includes('written by hand')")
        assert tab.run("document.querySelector('.offer pre').textContent") == "zones: {}"
        assert site.node.committed == []
        press_button(tab, "Save for now")
        tab.wait_for(f"{EDITOR}.hidden")
        tab.wait_for(
            "document.querySelector('.stream-main').innerText.includes('until the configuration is read again')"
        )
        assert (site.stream("cam").zones, site.stored("cam")) == ({}, CAM)


def test_what_is_drawn_outlives_another_view(browser: Browser, tmp_path: Path) -> None:
    """A page that is hidden for a while closes its view, too."""
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        focus(tab, "Whole zone yard")
        tab.press("Delete")
        tab.run("location.hash = '#/'")
        tab.wait_for("document.querySelector('.wall') !== null")
        tab.run("location.hash = '#/stream/cam'")
        tab.wait_for(f"{EDITOR} && !{EDITOR}.hidden")
        assert tab.run(f"{EDITOR}.querySelectorAll('.rule').length") == 1
        save(tab, site)
        assert site.stream("cam").zones == {}


def test_every_point_is_reached_by_tab_and_says_where_it_is(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        focus(tab, "Whole line street")
        active, heard = "document.activeElement", []
        for _ in range(3):
            heard.append(
                tab.run(f"['aria-label', 'aria-valuetext'].map((each) => {active}.getAttribute(each))")
            )
            tab.press("Tab")
        assert heard == [
            ["Whole line street", "10.0 % from the left, 80.0 % from the top"],
            ["Point 1 of 2 of line street", "10.0 % from the left, 80.0 % from the top"],
            ["Add a point after point 1 of line street", None],
        ]


def test_what_others_have_changed_is_replaced_only_when_asked_to(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        focus(tab, "Point 1 of 2 of line street")
        tab.press("ArrowUp")
        second = {"points": [[0.1, 0.6], [0.9, 0.6]]}
        lines = {**site.stream("cam").model_dump(mode="json")["lines"], "second": second}
        site.editor.change("cam", {"lines": lines}, persist=None)
        press_button(tab, "Save")
        tab.wait_for(f"{EDITOR}.innerText.includes('were changed elsewhere meanwhile')")
        assert list(site.stream("cam").lines) == ["street", "second"]
        save(tab, site)
        assert list(site.stream("cam").lines) == ["street"]


def test_a_daemon_that_does_not_answer_is_told_and_nothing_is_lost(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.page) as tab:
        begin(tab)
        focus(tab, "Whole zone yard")
        tab.press("Delete")
        site.live.close()
        press_button(tab, "Save")
        tab.wait_for(f"{EDITOR}.innerText.includes('the daemon is stopping')")
        site.live.open()
        save(tab, site)
        assert site.stream("cam").zones == {}
