"""The page that adds a camera: what it finds, what it refuses, and that no login leaves it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.demo.rtsp import CameraSpec, RtspServer

from .editing import serving
from .scene import Scene
from .test_page import AXE, Editor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.browser import Browser, Tab

PASSWORD = "hunter2/hunter2@"
HOSTILE = '<img src=x onerror="window.hacked=1">'
# The page closes its view when it has been hidden for 5 s, here at once.
HIDES_SOON = """
const later = window.setTimeout;
window.setTimeout = (act, wait, ...more) =>
  later(() => { act(); window.hiddenLong ||= wait === 5000; }, wait === 5000 ? 0 : wait, ...more);
"""
RESULT = "(document.querySelector('.add-camera section:not([hidden])')?.innerText ?? '')"
ASKED = """
window.asked = [];
const ask = window.fetch;
window.fetch = (path, options) => {
  if (options?.method === "POST") window.asked.push([path, options.body]);
  return ask(path, options);
};
"""


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    clip = draw_clip(tmp_path_factory.mktemp("add"), "h264", ClipShape(320, 240, 50, 25))
    with RtspServer([CameraSpec("front-door/stream1", clip, "viewer", PASSWORD)]) as server:
        yield server


def fill(tab: Tab, field: str, text: str) -> None:
    tab.wait_for(f"document.getElementById('camera-{field}') !== null")
    tab.run(f"document.getElementById('camera-{field}').focus(); document.activeElement.select()")
    tab.write(text)


def fault(tab: Tab, field: str) -> str:
    found: str = tab.wait_for(f"document.getElementById('camera-{field}-fault').textContent")
    return found


def test_a_camera_is_looked_at_named_and_added(browser: Browser, camera: RtspServer, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.scene.url, before=ASKED) as tab:
        tab.wait_for("document.querySelector('.wall-head a') !== null")
        tab.run("document.querySelector('.wall-head a').click()")
        fill(tab, "url", camera.url("front-door/stream1", credentials=False))
        fill(tab, "user", "viewer")
        fill(tab, "password", PASSWORD)
        tab.press("Enter")
        tab.wait_for(f"{RESULT}.includes('h264, 320 \u00d7 240')")
        tab.wait_for("document.querySelector('.first-frame').naturalWidth === 320")
        assert tab.run("document.getElementById('camera-name').value") == "front-door"
        tab.run("document.getElementById('camera-model').value = 'yolox'")
        fill(tab, "classes", "person,")
        tab.run("document.getElementById('camera-name').focus()")
        tab.press("Enter")
        tab.wait_for("document.querySelector('h1').textContent === 'front-door'")
        # Not only the address: the stream is there, too.
        assert tab.run("document.querySelector('.stream-head .state').textContent") != "unknown"
        added = site.stream("front-door")
        assert added.url.get_secret_value() == camera.url("front-door/stream1")
        assert (added.model_keys, added.classes) == (["yolox"], ["person"])
        # What is sent holds the login, or the camera could not be read; nothing else does.
        assert [each[0] for each in tab.run("window.asked")] == ["/api/probe", "/api/streams"]
        kept = "location.href + JSON.stringify([localStorage, sessionStorage, history.state])"
        entries = "performance.getEntries().map((each) => each.name).join(' ')"
        shown = "document.documentElement.outerHTML"
        assert "hunter2" not in tab.run(f"{kept} + {entries} + {shown}")
        assert tab.complaints == []


def test_a_login_in_the_address_stays_out_of_the_name_and_of_what_is_told(
    browser: Browser, camera: RtspServer, tmp_path: Path
) -> None:
    with serving(tmp_path) as site, browser.open(site.scene.url + "#/add") as tab:
        fill(tab, "url", camera.url("front-door/stream1").replace("viewer", "other"))
        tab.press("Enter")
        tab.wait_for(f"{RESULT}.includes('unauthorized: ')")
        assert "Check: user name, password" in tab.run(RESULT)
        assert tab.run("document.getElementById('camera-name').value") == "front-door"
        # Its address is still in the field, so that it can be mended.
        assert "hunter2" not in tab.run("document.documentElement.outerHTML")


def test_a_camera_that_is_away_can_be_added_anyway(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.scene.url + "#/add") as tab:
        fill(tab, "url", "rtsp://127.0.0.1:1/h264")
        tab.press("Enter")
        tab.wait_for(f"{RESULT}.includes('refused: ')")
        fill(tab, "name", "gate")
        tab.press("Enter")
        tab.wait_for("document.querySelector('h1').textContent === 'gate'")
        assert site.stream("gate").url.get_secret_value() == "rtsp://127.0.0.1:1/h264"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("gopher://h/1", "unsupported scheme `gopher`"),
        ("rtsp://h:99999999/1", "the port is not a number"),
        ("rtsp://***@h/1", "contains `***`"),
    ],
)
def test_addresses_that_can_not_be_are_refused_at_their_field(
    browser: Browser, tmp_path: Path, url: str, told: str
) -> None:
    with serving(tmp_path) as site, browser.open(site.scene.url + "#/add") as tab:
        fill(tab, "url", url)
        tab.press("Enter")
        assert told in fault(tab, "url")


def test_a_hostile_address_stays_text(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.scene.url + "#/add") as tab:
        fill(tab, "url", HOSTILE)
        tab.press("Enter")
        tab.wait_for(f"{RESULT}.includes('missing: ')")
        assert tab.run("document.getElementById('camera-name').value") == "camera"
        assert tab.run("window.hacked === undefined && document.querySelectorAll('img[src=x]').length === 0")


@pytest.mark.parametrize(
    ("name", "classes", "field", "told"),
    [
        ("cam", "", "id", "`cam` is already the id of"),
        (HOSTILE, "", "id", "expected a name of 1 to 64 letters"),
        ("gate", f"{HOSTILE},", "classes", "onerror"),
    ],
)
def test_findings_are_told_at_their_field(
    browser: Browser, tmp_path: Path, name: str, classes: str, field: str, told: str
) -> None:
    with serving(tmp_path) as site, browser.open(site.scene.url + "#/add") as tab:
        fill(tab, "url", "rtsp://127.0.0.1:1/h264")
        tab.press("Enter")
        tab.wait_for(f"{RESULT}.includes('refused: ')")
        fill(tab, "classes", classes)
        fill(tab, "name", name)
        tab.press("Enter")
        assert told in fault(tab, field)
        assert site.node.committed == []
        assert tab.run("window.hacked === undefined && document.querySelectorAll('img[src=x]').length === 0")


def test_a_folder_that_can_not_be_written_is_explained(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as site, browser.open(site.scene.url + "#/add") as tab:
        (site.folder / "gate.yaml").write_text("# mine\n")
        fill(tab, "url", "rtsp://127.0.0.1:1/h264")
        tab.press("Enter")
        tab.wait_for(f"{RESULT}.includes('refused: ')")
        fill(tab, "name", "gate")
        tab.press("Enter")
        tab.wait_for("document.querySelector('.offer')?.innerText.includes('was not written by Framelane')")
        tab.run("document.querySelector('.offer button').click()")
        tab.wait_for("document.querySelector('h1').textContent === 'gate'")
        tab.wait_for("document.body.innerText.includes('This stream is in no file')")


def test_names_are_suggested_for_addresses(browser: Browser) -> None:
    cases = {
        "rtsp://viewer:secret@front-door.example:554/stream1": "front-door",
        "rtsp://u:p/a@ss@10.0.0.7/lobby/live": "lobby",
        "rtsp://10.0.0.7:8554/Streaming/Channels/101": "camera-10-0-0-7",
        "rtsp://10.0.0.7/user=admin_password=secret_channel=1": "camera-10-0-0-7",
        "http://10.0.0.7/cgi-bin/snapshot.jpg?user=a&pwd=secret": "camera-10-0-0-7",
        "rtsp://[fe80::1]/live": "camera-fe80-1",
        "/clips/street.mp4": "street",
        "": "camera",
        "rtsp://lobby/1": "lobby-2",
        "rtsp://" + "x" * 300 + "/1": "x" * 64,
        f"rtsp://{HOSTILE}/1": "img-src-x-onerror-window",
    }
    with Scene([]) as scene, browser.open(scene.url) as tab:
        suggest = (
            "import('/page/camera_name.js').then(({ suggestedName }) =>"
            f" {json.dumps(list(cases))}.map((url) => suggestedName(url, new Set(['lobby']))))"
        )
        found = dict(zip(cases, tab.run(suggest), strict=True))
    # The one in the list is taken.
    cases["rtsp://u:p/a@ss@10.0.0.7/lobby/live"] = "lobby-2"
    assert found == cases


def test_what_is_entered_outlives_a_hidden_page(browser: Browser) -> None:
    with Scene([], editor=Editor()) as scene, browser.open(scene.url + "#/add", before=HIDES_SOON) as tab:
        fill(tab, "url", "rtsp://10.0.0.7/1")
        hide = (
            "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
            " document.dispatchEvent(new Event('visibilitychange')); }"
        )
        tab.run(f"({hide})(true)")
        tab.wait_for("window.hiddenLong")
        tab.run(f"({hide})(false)")
        assert tab.run("document.getElementById('camera-url').value") == "rtsp://10.0.0.7/1"


@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
@pytest.mark.parametrize("view", ["#/add", "#/stream/cam"])
def test_both_pages_are_accessible_and_fit_a_phone(
    browser: Browser, tmp_path: Path, view: str, *, dark: bool
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: scripts/install_test_neighbours.sh")
    with (
        serving(tmp_path) as site,
        browser.open(site.scene.url + view, (360, 740), dark=dark) as tab,
    ):
        if view == "#/add":
            fill(tab, "url", "rtsp://127.0.0.1:1/h264")
            tab.press("Enter")
            tab.wait_for(f"{RESULT}.includes('refused: ')")
        else:
            tab.wait_for("document.querySelector('.stage-note[hidden]') !== null")
            tab.run(
                "[...document.querySelectorAll('button')].find((each) => each.textContent.startsWith('Edit')).click()"
            )
            tab.wait_for("document.querySelector('.rule.zone .rule-head') !== null")
            tab.run("document.querySelector('.rule.zone .rule-head').click()")
        assert tab.run("document.documentElement.scrollWidth") <= 360
        tab.run(f"{AXE.read_text(encoding='utf-8')}; true")
        wrong = tab.run(
            "axe.run().then(({ violations }) => violations.flatMap((each) =>"
            "  each.nodes.map((node) => `${each.id}: ${node.target}: ${node.failureSummary}`)))"
        )
        assert wrong == []
        assert tab.complaints == []
