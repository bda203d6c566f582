from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from framelane.core.clock import SystemClock
from framelane.live.hub import LiveHub
from framelane.live.records import Kind
from framelane.live.tap import StreamTap
from framelane.sources.interfaces.tap import UnitOrigin

from .coded import recording, unit_of
from .found import frame, result
from .viewers import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.live.records import Record

MADE = recording()


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    hub = LiveHub(SystemClock())
    yield hub
    assert hub.stop(10.0)


def send(tap: StreamTap, numbers: range, origin: UnitOrigin) -> None:
    """Let a camera send pictures and a model find something in every second one."""
    for number in numbers:
        if tap.unit is not None:
            tap.unit(origin, unit_of(MADE.units[number], MADE.extradata))
        if tap.frame is not None:
            tap.frame(frame(number))
        if tap.result is not None and number % 2 == 0:
            tap.result(result(number))


def test_nothing_is_seen_and_no_thread_runs_while_nobody_watches(hub: LiveHub) -> None:
    tap = StreamTap()
    hub.add("cam", tap)
    assert ((tap.unit, tap.frame, tap.result), hub.alive) == ((None, None, None), False)
    viewer = Kept()
    hub.watch("cam", "video", viewer)
    assert (tap.unit is None, tap.frame is None, tap.result is None) == (False, True, False)
    hub.unwatch("cam", "video", viewer)
    assert (tap.unit, tap.frame, tap.result) == (None, None, None)


def test_boxes_have_the_media_time_of_their_picture(hub: LiveHub) -> None:
    tap, viewer = StreamTap(), Kept()
    hub.add("cam", tap)
    hub.watch("cam", "video", viewer)
    send(tap, range(40), UnitOrigin("h264"))
    wait_until(lambda: len(viewer.records) == 60)
    pictures = viewer.times(Kind.VIDEO)
    assert viewer.times(Kind.BOXES) == pictures[::2]


def test_a_result_of_a_picture_that_nobody_saw_is_not_sent(hub: LiveHub) -> None:
    tap, viewer = StreamTap(), Kept()
    hub.add("cam", tap)
    hub.watch("cam", "video", viewer)
    send(tap, range(3), UnitOrigin("h264"))
    assert tap.result is not None
    tap.result(result(1, pts_s=0.0401))
    tap.result(result(1))
    wait_until(lambda: len(viewer.times(Kind.BOXES)) == 3)


def test_viewers_share_records(hub: LiveHub) -> None:
    tap, first, second = StreamTap(), Kept(), Kept()
    hub.add("cam", tap)
    hub.watch("cam", "video", first)
    hub.watch("cam", "video", second)
    send(tap, range(10), UnitOrigin("h264"))
    wait_until(lambda: len(first.records) == len(second.records) == 15)
    assert all(one is other for one, other in zip(first.records, second.records, strict=True))


def test_a_viewer_of_stills_gets_them_and_one_that_comes_later_the_last(hub: LiveHub) -> None:
    tap, viewer = StreamTap(), Kept()
    hub.add("cam", tap)
    hub.watch("cam", "tile", viewer)
    wait_until(lambda: tap.frame is not None)
    send(tap, range(3), UnitOrigin("h264"))
    wait_until(lambda: len(viewer.records) == 1)
    later = Kept()
    hub.watch("cam", "tile", later)
    assert later.records == viewer.records


def test_a_stream_that_comes_later_is_watched(hub: LiveHub) -> None:
    viewer, tap = Kept(), StreamTap()
    hub.watch("cam", "video", viewer)
    hub.add("cam", tap)
    send(tap, range(2), UnitOrigin("h264"))
    wait_until(lambda: len(viewer.records) == 3)
    hub.remove("cam")
    assert tap.unit is None


def test_a_hub_that_is_held_up_keeps_no_more_than_its_limit_and_goes_on_at_a_key_frame(hub: LiveHub) -> None:
    held, go_on = threading.Event(), threading.Event()

    class Slow(Kept):
        def put(self, record: Record) -> None:
            super().put(record)
            held.set()
            go_on.wait(30)

    tap, viewer, origin = StreamTap(), Slow(), UnitOrigin("h264")
    hub.add("cam", tap)
    hub.watch("cam", "video", viewer)
    assert tap.unit is not None
    for turn in range(200):
        for coded in MADE.units:
            tap.unit(origin, unit_of(coded._replace(number=coded.number + 40 * turn), MADE.extradata))
        held.wait(30)
    assert len(hub._waiting) <= 4096
    go_on.set()
    wait_until(lambda: not hub._waiting)
    time.sleep(0.1)
    before = len(viewer.records)
    for coded in MADE.units[5:15]:
        tap.unit(origin, unit_of(coded._replace(number=coded.number + 8000), MADE.extradata))
    wait_until(lambda: len(viewer.records) == before + 5)
    assert viewer.records[before].key
