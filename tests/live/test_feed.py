"""One stream while it is watched: what its taps show, and which viewers get what."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from tests.sources.ticking import TickingClock

from framelane.live.feed import Feed
from framelane.live.records import Kind
from framelane.live.tap import StreamTap
from framelane.sources.interfaces.tap import UnitOrigin

from .coded import recording, unit_of
from .found import frame, result
from .viewers import Kept

if TYPE_CHECKING:
    from collections.abc import Callable

MADE = recording()


class Rig:
    """A feed whose hub's thread is the test."""

    def __init__(self) -> None:
        self.clock = TickingClock()
        self.work: deque[Callable[[], None]] = deque()
        self.room = True
        self.tap = StreamTap()
        self.origin = UnitOrigin("h264")
        self.feed = Feed(self.clock, self.post)
        self.feed.follow(self.tap)

    def post(self, work: Callable[[], None]) -> bool:
        if self.room:
            self.work.append(work)
        return self.room

    def do_work(self) -> None:
        while self.work:
            self.work.popleft()()

    def unit(self, number: int) -> None:
        """Show a picture, if anyone watches."""
        if self.tap.unit is not None:
            self.tap.unit(self.origin, unit_of(MADE.units[number], MADE.extradata))

    @property
    def taps(self) -> tuple[bool, bool, bool]:
        """Whether units, frames and results are shown."""
        return self.tap.unit is not None, self.tap.frame is not None, self.tap.result is not None


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_taps_show_only_what_somebody_watches(rig: Rig) -> None:
    viewer = Kept()
    seen = [rig.taps]
    rig.feed.add("video", viewer)
    seen.append(rig.taps)
    rig.feed.add("tile", viewer)
    seen.append(rig.taps)
    rig.feed.remove("video", viewer)
    seen.append(rig.taps)
    rig.feed.remove("tile", viewer)
    seen.append(rig.taps)
    assert seen == [
        (False, False, False),
        (True, False, True),
        (True, True, True),
        (False, True, True),
        (False, False, False),
    ]
    assert not rig.feed.watched


def test_stream_that_comes_back_is_seen_through_its_new_tap(rig: Rig) -> None:
    rig.feed.add("video", Kept())
    old, rig.tap = rig.tap, StreamTap()
    rig.feed.follow(rig.tap)
    assert (old.unit, old.result) == (None, None)
    assert rig.taps == (True, False, True)
    rig.feed.follow(None)
    assert rig.taps == (False, False, False)


def test_what_follows_a_unit_without_room_waits_for_a_key_frame(rig: Rig) -> None:
    """A picture that builds on one that no viewer got would be a smear."""
    viewer = Kept()
    rig.feed.add("video", viewer)
    keys = [number for number, coded in enumerate(MADE.units) if coded.key]
    for number in range(keys[1] + 2):
        rig.room = number != 3
        rig.unit(number)
        rig.do_work()
    assert [record.key for record in viewer.records] == [True, False, False, True, False]


def test_boxes_go_to_viewers_of_video_at_the_time_of_their_picture(rig: Rig) -> None:
    viewer, other = Kept(), Kept()
    rig.feed.add("video", viewer)
    rig.feed.add("tile", other)
    for number in range(3):
        rig.unit(number)
    rig.do_work()
    assert rig.tap.result is not None
    rig.tap.result(result(1))
    rig.tap.result(result(99))
    rig.do_work()
    pictures = viewer.times(Kind.VIDEO)
    assert (len(pictures), viewer.times(Kind.BOXES)) == (3, [pictures[1]])
    assert other.times(Kind.BOXES) == []


def test_still_is_made_of_the_frame_that_was_found_in_and_kept_for_the_next_viewer(rig: Rig) -> None:
    first, second = Kept(), Kept()
    rig.feed.add("tile", first)
    for number in range(2):
        if rig.tap.frame is not None:
            rig.tap.frame(frame(number))
        rig.do_work()
        if rig.tap.result is not None:
            rig.tap.result(result(number))
        rig.do_work()
    assert [record.kind for record in first.records] == [Kind.STILL]
    rig.feed.add("tile", second)
    assert second.records == first.records


def test_last_still_is_forgotten_with_its_last_viewer(rig: Rig) -> None:
    first, second = Kept(), Kept()
    rig.feed.add("tile", first)
    assert rig.tap.frame is not None
    rig.tap.frame(frame(0))
    rig.do_work()
    assert rig.tap.result is not None
    rig.tap.result(result(0))
    rig.do_work()
    assert first.records
    rig.feed.remove("tile", first)
    rig.feed.add("tile", second)
    assert second.records == []
