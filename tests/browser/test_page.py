"""The live page in a browser: what it asks for, shows and survives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.live.found import MODEL, result
from tests.waiting import wait_until
from tests.web.watching import TOKEN

from .scene import Scene

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from framelane.core.frames import Result
    from framelane.web.streams import Probed
    from lab.browser import Browser, Tab

AXE = Path(__file__).parents[2] / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
HOSTILE = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1<'
SEEN = "window.shown = 0; document.addEventListener('framelane:shown', () => { window.shown += 1; });"


class Done:
    """What a change came to."""

    added = removed = reopened = ()
    changed = ("cam",)
    took_s = 0.002


class Editor:
    """Keeps the options that it is given."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {
            "id": "cam",
            "url": "rtsp://***@10.0.0.7/stream1",
            "enabled": True,
            "confidence": None,
            "classes": None,
        }

    def listed(self) -> list[dict[str, Any]]:
        return [self.options]

    def shown(self, stream: str) -> dict[str, Any]:
        return self.options

    def change(self, stream: str, options: Mapping[str, Any], *, persist: bool | None) -> Done:
        self.options = {**self.options, **options}
        return Done()

    def add(self, options: Mapping[str, Any], *, persist: bool | None) -> Done:
        raise NotImplementedError

    def remove(self, stream: str, *, persist: bool | None) -> Done:
        raise NotImplementedError

    def reload(self) -> Done:
        raise NotImplementedError

    def probe(self, options: Mapping[str, Any], gone: threading.Event) -> Probed:
        raise NotImplementedError


def text_of(tab: Tab, selector: str) -> str:
    found: str = tab.run(f"document.querySelector({selector!r})?.textContent ?? ''")
    return found


def enter_token(tab: Tab, token: str) -> None:
    tab.wait_for("document.activeElement?.id === 'token'")
    tab.write(token)
    tab.press("Enter")


def test_the_page_asks_for_the_token_and_keeps_it_out_of_addresses(browser: Browser) -> None:
    with Scene(["cam"], token=TOKEN) as scene, browser.open(scene.url, before=SEEN) as tab:
        enter_token(tab, "wrong")
        tab.wait_for("document.querySelector('.login [role=alert]')?.textContent === 'This token is wrong.'")
        enter_token(tab, TOKEN)
        tab.wait_for("window.shown > 10")
        assert TOKEN not in tab.run("location.href")
        entries = tab.run("performance.getEntries().map((each) => each.name).join(' ')")
        assert TOKEN not in entries
        assert tab.run("localStorage.length") == 0
        # It is valid in this tab until it is forgotten.
        tab.reload()
        tab.wait_for("window.shown > 0")
        tab.run("document.getElementById('forget').click()")
        tab.wait_for("document.querySelector('.login') !== null")
        assert tab.run("sessionStorage.length + localStorage.length") == 0


def test_a_token_is_kept_on_the_device_only_if_asked_to(browser: Browser) -> None:
    with Scene(["cam"], token=TOKEN) as scene:
        with browser.open(scene.url, before=SEEN) as tab:
            tab.wait_for("document.getElementById('keep') !== null")
            tab.run("document.getElementById('keep').click(); document.getElementById('token').focus()")
            enter_token(tab, TOKEN)
            tab.wait_for("window.shown > 0")
        with browser.open(scene.url, before=SEEN) as tab:
            tab.wait_for("window.shown > 0")
            tab.run("localStorage.clear()")


def hostile(number: int) -> Result:
    found = result(number)
    return replace(found, model=replace(MODEL, labels=(HOSTILE, HOSTILE)))


def test_hostile_names_labels_and_texts_stay_text(browser: Browser) -> None:
    with (
        Scene([HOSTILE], editor=Editor(), find=hostile) as scene,
        browser.open(scene.url, before=SEEN) as tab,
    ):
        scene.board.stream(HOSTILE).down("refused", HOSTILE)
        tab.wait_for("document.querySelector('.reason')?.textContent.includes('onerror')")
        assert text_of(tab, ".name") == HOSTILE
        tab.run("document.querySelector('.tile-link').click()")
        tab.wait_for("document.querySelector('.found tbody th')?.textContent.includes('onerror')")
        assert text_of(tab, "h1") == HOSTILE
        assert tab.run("window.hacked === undefined && document.querySelectorAll('img[src=x]').length === 0")
        assert tab.complaints == []


@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
@pytest.mark.parametrize("view", ["", "#/stream/lobby", "#/node", "login"])
def test_the_page_is_accessible(browser: Browser, view: str, *, dark: bool) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: scripts/install_test_neighbours.sh")
    token = TOKEN if view == "login" else None
    with Scene(["lobby", "yard", "gate"], token=token, editor=Editor()) as scene:
        scene.board.stream("yard").down("refused", "the camera refuses the connection; retry in 8 s")
        address = scene.url + view.replace("login", "")
        with browser.open(address, dark=dark, before=SEEN) as tab:
            ready = {"": "window.shown > 10", "#/node": "document.querySelectorAll('tbody th').length > 3"}
            tab.wait_for(ready.get(view, "document.querySelector('form, .found') !== null"))
            tab.run("new Promise((done) => setTimeout(done, 1500))")
            tab.run(f"{AXE.read_text(encoding='utf-8')}; true")
            wrong = tab.run(
                "axe.run().then(({ violations }) => violations.flatMap((each) =>"
                "  each.nodes.map((node) => `${each.id}: ${node.target}: ${node.failureSummary}`)))"
            )
            assert wrong == []
            assert tab.complaints == [] or view == "login"


@pytest.mark.parametrize("view", ["", "#/stream/lobby", "#/node"])
def test_nothing_is_wider_than_a_phone(browser: Browser, view: str) -> None:
    names = ["lobby", "a-camera-with-a-very-long-name-that-never-ends-0123456789"]
    with (
        Scene(names, editor=Editor()) as scene,
        browser.open(scene.url + view, (360, 740), before=SEEN) as tab,
    ):
        tab.wait_for("document.querySelector('.tile, .stream, .node') !== null")
        tab.run("new Promise((done) => setTimeout(done, 2500))")
        assert tab.run("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("count", [1, 4, 16])
def test_a_wall_of_few_cameras_needs_no_scrolling(browser: Browser, count: int) -> None:
    with Scene([f"cam{number}" for number in range(count)]) as scene, browser.open(scene.url) as tab:
        tab.wait_for(f"document.querySelectorAll('.tile').length === {count}")
        tab.wait_for("document.documentElement.scrollHeight <= innerHeight + 24")


def test_tiles_out_of_view_are_not_watched(browser: Browser) -> None:
    names = [f"cam{number:02d}" for number in range(30)]
    with Scene(names) as scene, browser.open(scene.url, (360, 740), before=SEEN) as tab:
        first, last = scene.cameras["cam00"].tap, scene.cameras["cam29"].tap
        wait_until(lambda: first.unit is not None)
        assert last.result is None
        tab.run("scrollTo(0, document.documentElement.scrollHeight)")
        wait_until(lambda: first.result is None and last.result is not None)


def test_many_tiles_show_stills(browser: Browser) -> None:
    names = [f"cam{number:02d}" for number in range(20)]
    with Scene(names) as scene, browser.open(scene.url, (1600, 900), before=SEEN) as tab:
        tab.wait_for("document.querySelectorAll('.stage-note[hidden]').length === 20")
        assert [camera.tap.unit for camera in scene.cameras.values()] == [None] * 20


def test_keys_move_between_tiles_and_open_one(browser: Browser) -> None:
    with Scene([f"cam{number}" for number in range(4)]) as scene, browser.open(scene.url) as tab:
        tab.wait_for("document.querySelectorAll('.tile-link').length === 4")
        focused = "document.activeElement.closest('.tile')?.dataset.stream"
        tab.run("document.querySelector('.tile-link').focus()")
        seen = []
        for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
            tab.press(key)
            seen.append(tab.run(focused))
        assert seen == ["cam1", "cam3", "cam2", "cam0"]
        tab.press("Enter")
        tab.wait_for("document.querySelector('h1')?.textContent === 'cam0'")


def test_options_are_changed_live(browser: Browser) -> None:
    editor = Editor()
    with Scene(["cam"], editor=editor) as scene, browser.open(scene.url + "#/stream/cam") as tab:
        tab.wait_for("document.querySelector('form:not([hidden]) #confidence') !== null")
        for field, text in (("confidence", "0.55"), ("classes", "person, car")):
            tab.run(f"document.getElementById({field!r}).focus()")
            tab.write(text)
        tab.press("Enter")
        said = "document.querySelector('[aria-labelledby=options-title] [role=status]')"
        tab.wait_for(f"{said}.textContent.startsWith('Applied')")
        assert (editor.options["confidence"], editor.options["classes"]) == (0.55, ["person", "car"])


def test_the_page_says_so_when_the_daemon_is_gone_and_comes_back(browser: Browser) -> None:
    with Scene(["cam"]) as scene, browser.open(scene.url, before=SEEN) as tab:
        tab.wait_for("window.shown > 5")
        address = scene._server.address
        scene._server.stop(5.0)
        tab.wait_for("!document.getElementById('trouble').hidden")
        scene._server = again = type(scene._server)(scene._server._app, f"{address[0]}:{address[1]}")
        again.start()
        tab.wait_for("document.getElementById('trouble').hidden")
        # Video again, although its media time begins again as well.
        frames = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
        tab.wait_for("document.querySelector('canvas.still').hidden")
        before = tab.run(frames)
        tab.wait_for(f"{frames} > {before} + 20 && document.querySelector('canvas.still').hidden")


def test_a_page_without_cameras_says_what_to_do(browser: Browser) -> None:
    with Scene([]) as scene, browser.open(scene.url) as tab:
        tab.wait_for("document.querySelector('.empty:not([hidden])')?.textContent.includes('No cameras yet')")
