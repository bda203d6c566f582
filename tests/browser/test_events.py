"""The page's list of events: what it shows, how it follows, and what it does when there is nothing to show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.neighbours.clips import ClipShape, draw_clip
from tests.web.watching import TOKEN

from framelane.core.attributes import Attribute

from .past import Past, crossed, seen
from .scene import Scene
from .test_page import AXE, HOSTILE, enter_token, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.browser import Browser, Tab

WORDS = "[...document.querySelectorAll('.event-what')].map((each) => each.textContent)"
COUNT = "document.querySelectorAll('.event').length"
PICTURES = "[...document.querySelectorAll('.event-frame img')].filter((each) => each.naturalWidth > 0).length"
FRESH = "document.querySelector('.events-new:not([hidden])')"


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    with Past(tmp_path) as past:
        yield past


def test_what_second_models_say_is_part_of_the_sentence_and_stays_text(browser: Browser, past: Past) -> None:
    event = seen(1)
    said = (Attribute("color", "red", 0.9, event.at), Attribute("plate", HOSTILE, 0.9, event.at))
    past.happen(replace(event, object=replace(event.object, attributes=said)))
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 1")
        assert tab.run(WORDS) == [f"person (red, {HOSTILE}) came"]
        assert tab.run("window.hacked === undefined && document.querySelectorAll('img[src=x]').length === 0")
        assert tab.complaints == []


def choose(tab: Tab, field: str, value: str) -> None:
    tab.run(
        f"(() => {{ const field = document.getElementById('events-{field}');"
        f"field.value = {value!r}; field.dispatchEvent(new Event('change')); }})()"
    )


def test_events_read_as_sentences_the_newest_first(browser: Browser, past: Past) -> None:
    past.happen(
        seen(1),
        crossed(2, label="car"),
        seen(3, kind="zone_enter", rule="yard"),
        seen(3, kind="zone_exit", rule="yard", since=seen(3).at - 12),
        seen(3, kind="update"),
        seen(4),
        seen(4, kind="end", reason="left"),
    )
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 6")
        # Updates are left out until asked for.
        assert tab.run(WORDS) == [
            "person gone: left",
            "person came",
            "person left yard after 12 s",
            "person entered yard",
            "car crossed street to the left",
            "person came",
        ]
        assert tab.complaints == []


def test_snapshots_come_with_the_token_when_they_are_near_the_view(browser: Browser, tmp_path: Path) -> None:
    with Past(tmp_path) as past:
        names = past.happen(*(crossed(number) for number in range(40)))
        for name in names:
            past.picture(name)
        with (
            Scene(["lobby"], token=TOKEN, events=past.routes) as scene,
            browser.open(scene.url + "#/events", (1280, 600)) as tab,
        ):
            enter_token(tab, TOKEN)
            tab.wait_for(f"{COUNT} === 40")
            height = tab.run("document.documentElement.scrollHeight")
            tab.wait_for(f"{PICTURES} >= 4")
            tab.run("new Promise((done) => setTimeout(done, 500))")
            assert tab.run(PICTURES) < 40
            assert tab.run("document.documentElement.scrollHeight") == height
            tab.run("scrollTo(0, document.documentElement.scrollHeight)")
            tab.wait_for("document.querySelector('.event:last-child img').naturalWidth > 0")
            assert TOKEN not in tab.run("performance.getEntries().map((each) => each.name).join(' ')")
            # That of the first request, which had no token.
            assert len(tab.complaints) == 1


def test_pictures_out_of_view_are_released_and_come_back(browser: Browser, past: Past) -> None:
    names = past.happen(*(crossed(number) for number in range(260)))
    for name in names:
        past.picture(name)
    with (
        Scene(["lobby"], events=past.routes) as scene,
        browser.open(scene.url + "#/events", (1280, 900)) as tab,
    ):
        for count in (50, 100, 150, 200, 250):
            tab.wait_for(f"{COUNT} === {count}")
            tab.run("document.querySelector('.events-more button').click()")
        tab.wait_for(f"{COUNT} === 260")
        for part in range(0, 260, 8):
            tab.run(f"document.querySelectorAll('.event')[{part}].scrollIntoView()")
            tab.wait_for(f"document.querySelectorAll('.event img')[{part}].naturalWidth > 0")
        tab.run("document.querySelector('.event:last-child').scrollIntoView()")
        tab.wait_for("document.querySelector('.event:last-child img').naturalWidth > 0")
        assert tab.run(PICTURES) <= 200
        assert tab.run("document.querySelector('.event img').hidden")
        tab.run("scrollTo(0, 0)")
        tab.wait_for("document.querySelector('.event img').naturalWidth > 0")
        assert tab.complaints == []


def test_new_events_wait_until_they_are_asked_for(browser: Browser, past: Past) -> None:
    past.happen(*(crossed(number) for number in range(30)))
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 30")
        tab.run("scrollTo(0, 300)")
        where = "document.querySelector('.event:nth-last-child(20)').getBoundingClientRect().top"
        before = tab.run(where)
        past.happen(crossed(100), crossed(101))
        tab.wait_for(f"{FRESH}?.textContent === '2 new'")
        assert (tab.run(COUNT), tab.run(where)) == (30, before)
        tab.run(f"{FRESH}.click()")
        tab.wait_for(f"{COUNT} === 32")
        assert tab.run("document.activeElement.closest('.event')?.previousElementSibling === null")
        # Those that the list has are not new again.
        past.happen(crossed(102))
        tab.wait_for(f"{FRESH}?.textContent === '1 new'")
        # And without a click, if so wished.
        tab.run("document.getElementById('events-follow').click()")
        tab.wait_for(f"{COUNT} === 33")
        past.happen(crossed(103))
        tab.wait_for(f"{COUNT} === 34")


def test_a_flood_of_new_events_begins_the_list_again(browser: Browser, past: Past) -> None:
    past.happen(crossed(1))
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 1")
        past.happen(*(crossed(number) for number in range(2, 202)))
        tab.wait_for(f"{FRESH}?.textContent.includes('or more new')")
        tab.run(f"{FRESH}.click()")
        tab.wait_for(f"{COUNT} === 50")
        tab.run("document.querySelector('.events-more button').click()")
        tab.wait_for(f"{COUNT} === 100")


def test_older_events_are_added_until_the_end(browser: Browser, past: Past) -> None:
    past.happen(*(crossed(number) for number in range(120)))
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        for count in (50, 100, 120):
            tab.wait_for(f"{COUNT} === {count}")
            tab.run("document.querySelector('.events-more button').click()")
        tab.wait_for("document.querySelector('.events-more button').hidden")
        ids = "[...document.querySelectorAll('.event')].map((each) => each.dataset.event)"
        assert len(set(tab.run(ids))) == 120


def test_filters_narrow_the_list_and_stay_in_the_address(browser: Browser, past: Past) -> None:
    past.happen(
        crossed(1),
        crossed(2, label="car", stream="gate"),
        seen(3, kind="zone_enter", rule="yard"),
        seen(4, kind="update"),
        seen(5, ago_s=7200),
    )
    with Scene(["lobby", "gate"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 4")
        choose(tab, "stream", "gate")
        tab.wait_for(f"{COUNT} === 1 && {WORDS}[0] === 'car crossed street to the left'")
        assert tab.run("location.hash") == "#/events/stream=gate"
        choose(tab, "kind", "zone_enter")
        tab.wait_for(f"{COUNT} === 0 && !document.querySelector('.empty').hidden")
        assert "No event fits these filters" in text_of(tab, ".empty")
        tab.run("document.querySelector('.empty button').click()")
        tab.wait_for(f"{COUNT} === 4")
        choose(tab, "kind", "update")
        tab.wait_for(f"{COUNT} === 1 && {WORDS}[0] === 'person: update'")
        choose(tab, "kind", "all")
        tab.wait_for(f"{COUNT} === 5")
        choose(tab, "rule", "yard")
        tab.wait_for(f"{COUNT} === 1 && {WORDS}[0] === 'person entered yard'")
        # A reload, or the address in another tab, shows the same.
        tab.call("Page.reload")
        tab.wait_for(f"{COUNT} === 1 && document.getElementById('events-rule').value === 'yard'")
        assert tab.complaints == []


def test_times_are_local_and_narrow_the_list(browser: Browser, past: Past) -> None:
    past.happen(crossed(1, ago_s=7200), crossed(2))
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 2")
        hour = (
            "(() => { const at = new Date(Date.now() - 3600000);"
            "return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19); })()"
        )
        choose(tab, "since", tab.run(hour))
        tab.wait_for(f"{COUNT} === 1")
        shown = "document.querySelector('.event time').textContent"
        assert tab.run(shown) == tab.run(
            "new Date(document.querySelector('.event time').dateTime).toLocaleTimeString()"
        )


def test_an_event_opens_with_its_picture_and_can_be_stepped_through(browser: Browser, past: Past) -> None:
    names = past.happen(crossed(1), crossed(2, label="car"), crossed(3))
    past.picture(names[1])
    past.picture(names[1], suffix="whole.jpg")
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 3")
        tab.run("document.querySelector('.event-open').focus()")
        tab.press("ArrowDown")
        tab.press("Enter")
        tab.wait_for(
            "document.querySelector('dialog[open] h2')?.textContent === 'car crossed street to the left'"
        )
        tab.wait_for("document.querySelector('dialog img').naturalWidth === 320")
        facts = tab.run("document.querySelector('dialog dl').innerText")
        assert all(each in facts for each in ("lobby", "street", "left", "car, 87 %", "1 since"))
        tab.press("ArrowRight")
        tab.wait_for(
            "document.querySelector('dialog h2').textContent === 'person crossed street to the left'"
        )
        tab.wait_for(
            "document.querySelector('.event-note').textContent === 'There is no snapshot of this event.'"
        )
        tab.run("document.querySelector('dialog .quiet').click()")
        tab.wait_for("document.querySelector('dialog[open]') === null")
        tab.wait_for("document.activeElement.closest('.event')?.nextElementSibling === null")
        assert tab.complaints == []


def test_a_clip_is_named_when_it_is_ready_and_plays(browser: Browser, past: Past) -> None:
    (name,) = past.happen(crossed(1))
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 1")
        assert tab.run("document.querySelector('.event-tag').hidden")
        past.clip(name, b"no video at all")
        past.happen(seen(1, kind="clip", of=name, since=seen(1).at))
        tab.wait_for("!document.querySelector('.event-tag').hidden")
        assert tab.run(COUNT) == 1
        tab.run("document.querySelector('.event-open').click()")
        tab.wait_for("document.querySelector('dialog[open] .primary:not([hidden])') !== null")
        tab.run("document.querySelector('dialog .primary').click()")
        tab.wait_for("document.querySelector('.event-note').textContent.includes(\"can't play the clip\")")


def test_a_clip_plays(browser: Browser, past: Past, tmp_path: Path) -> None:
    (name,) = past.happen(crossed(1))
    past.clip(name, draw_clip(tmp_path, "h264", ClipShape(320, 256, 50, 25)).read_bytes())
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 1")
        tab.run("document.querySelector('.event-open').click()")
        tab.wait_for("document.querySelector('dialog .primary')?.hidden === false")
        tab.run("document.querySelector('dialog .primary').click()")
        tab.wait_for("document.querySelector('dialog video').currentTime > 0.2")
        assert tab.run("document.activeElement === document.querySelector('dialog video')")
        assert text_of(tab, ".event-note") == ""
        tab.run("document.querySelector('dialog').close()")
        tab.wait_for(
            "document.querySelector('dialog video').currentSrc === '' || !document.querySelector('dialog').open"
        )
        assert tab.complaints == []


def test_a_list_without_pictures_says_what_to_do(browser: Browser, past: Past) -> None:
    past.happen(crossed(1))
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 1")
        assert "set media.folder" in text_of(tab, ".events-view > .hint")
        assert tab.run("document.querySelector('.event-frame').clientWidth") == 0


def test_a_page_without_events_says_where_they_come_from(browser: Browser, past: Past) -> None:
    with Scene(["lobby"], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for("document.querySelector('.empty:not([hidden])')?.textContent.includes('track: true')")
        past.happen(crossed(1))
        tab.wait_for(f"{FRESH}?.textContent === '1 new'")
        tab.run(f"{FRESH}.click()")
        tab.wait_for(f"{COUNT} === 1 && document.querySelector('.empty').hidden")


@pytest.mark.parametrize(
    ("journal", "text"),
    [({"history_events": 0}, "set journal.history_events"), ({"folder": "/proc/none"}, "unavailable")],
)
def test_a_history_that_can_not_be_shown_says_why(
    browser: Browser, tmp_path: Path, journal: dict[str, Any], text: str
) -> None:
    with (
        Past(tmp_path, **journal) as past,
        Scene(["lobby"], events=past.routes) as scene,
        browser.open(scene.url + "#/events") as tab,
    ):
        past.happen(crossed(1))
        tab.wait_for(f"document.querySelector('.events-trouble')?.textContent.includes({text!r})")
        assert tab.run("document.querySelector('.empty').hidden")


def test_hostile_names_stay_text(browser: Browser, past: Past) -> None:
    past.happen(crossed(1, label=HOSTILE, rule=HOSTILE, stream=HOSTILE))
    with Scene([HOSTILE], events=past.routes) as scene, browser.open(scene.url + "#/events") as tab:
        tab.wait_for(f"{COUNT} === 1")
        tab.run("document.querySelector('.event-open').click()")
        tab.wait_for("document.querySelector('dialog[open]') !== null")
        assert tab.run(WORDS) == [f"{HOSTILE} crossed {HOSTILE} to the left"]
        assert tab.run("window.hacked === undefined && document.querySelectorAll('img[src=x]').length === 0")
        assert tab.complaints == []


@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
@pytest.mark.parametrize("opened", [True, False], ids=["one", "list"])
def test_the_list_is_accessible_and_fits_a_phone(
    browser: Browser, past: Past, *, opened: bool, dark: bool
) -> None:
    names = past.happen(
        crossed(1), seen(2, label="a-very-long-label-" * 5, kind="zone_enter", rule="yard-" * 20)
    )
    past.picture(names[0])
    with (
        Scene(["lobby"], events=past.routes) as scene,
        browser.open(scene.url + "#/events", (360, 740), dark=dark) as tab,
    ):
        tab.wait_for(f"{COUNT} === 2")
        tab.run("document.querySelector('.events-filters').open = true")
        if opened:
            tab.run("document.querySelector('.event-open').click()")
            tab.wait_for("document.querySelector('dialog[open]') !== null")
            assert tab.run("document.querySelector('dialog').scrollWidth <= 360")
        assert tab.run("document.documentElement.scrollWidth") <= 360
        if AXE.is_file():
            tab.run(f"{AXE.read_text(encoding='utf-8')}; true")
            wrong = tab.run(
                "axe.run().then(({ violations }) => violations.flatMap((each) =>"
                "  each.nodes.map((node) => `${each.id}: ${node.target}: ${node.failureSummary}`)))"
            )
            assert wrong == []
