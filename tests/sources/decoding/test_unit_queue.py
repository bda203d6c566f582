"""What is skipped before the decoder, and what is decoded in spite of everything."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.sources.ticking import TickingClock, unit

from framelane.sources.decoding.skip_policy import Level, SkipPolicy
from framelane.sources.decoding.unit_queue import UnitQueue

LATE_S = 0.5


class Rig:
    def __init__(self, fps: float | None = None, *, keep_damaged: bool = False) -> None:
        self.clock = TickingClock()
        self.reasons: Counter[str] = Counter()
        self.economy = SkipPolicy(fps, lambda _low, _high: 1.0)
        self.queue = UnitQueue(LATE_S, self.economy, self.clock, self._skip, keep_damaged=keep_damaged)

    def _skip(self, why: str, count: int) -> None:
        self.reasons[why] += count

    @property
    def skipped(self) -> int:
        return self.reasons.total()

    def put(self, *pts: int, key: bool = False, disposable: bool = False, ago_s: float = 0.0) -> bool:
        at_s = self.clock.monotonic() - ago_s
        return [self.queue.put(unit(each, at_s, key=key, disposable=disposable)) for each in pts][-1]

    def taken(self) -> list[tuple[int | None, bool]]:
        """Everything that is decoded now: time stamp, and whether the decoder is told of a gap."""
        units = iter(self.queue.take, None)
        return [(each.packet.pts, bool(each.gap)) for each in units]


def trouble(rig: Rig) -> str:
    return rig.queue.hindrance(rig.clock.monotonic()).text


def test_units_come_out_as_they_went_in_when_there_is_time() -> None:
    rig = Rig()
    rig.put(0, key=True)
    rig.put(1, 2, 3)
    rig.clock.pass_s(LATE_S)
    assert (rig.taken(), rig.skipped) == ([(0, False), (1, False), (2, False), (3, False)], 0)


def test_late_units_go_up_to_the_next_key_frame() -> None:
    rig = Rig()
    rig.put(0, key=True)
    rig.put(1, 2)
    rig.clock.pass_s(0.4)
    rig.put(3)
    rig.put(4, key=True)
    rig.put(5)
    rig.clock.pass_s(0.2)
    assert (rig.taken(), rig.skipped) == ([(4, True), (5, False)], 4)


def test_nothing_is_decoded_before_a_key_frame_when_all_that_waited_was_late() -> None:
    rig = Rig()
    rig.put(0, key=True)
    rig.clock.pass_s(0.6)
    assert rig.taken() == []
    assert not rig.put(1, 2, 3)
    assert rig.put(4, key=True)
    assert (rig.taken(), rig.skipped) == ([(4, True)], 4)


def test_a_backlog_is_read_through_without_being_decoded() -> None:
    """What the kernel has kept while a decoder was opened: read within a moment, its pictures have long been there."""
    rig = Rig()
    for number in range(100):
        rig.put(number, key=number % 25 == 0, ago_s=4.0 - number / 25)
    # Of 100 pictures in 4 s the last 12 are not late, and a key frame comes next.
    assert (rig.taken(), rig.skipped) == ([], 100)
    rig.put(100, key=True)
    assert rig.taken() == [(100, True)]


def test_each_late_picture_goes_by_itself_when_all_are_key_frames() -> None:
    rig = Rig()
    for number in range(10):
        rig.put(number, key=True, ago_s=0.9 - number / 10)
    assert [pts for pts, _ in rig.taken()] == [4, 5, 6, 7, 8, 9]


def test_memory_is_bounded_when_nobody_decodes() -> None:
    rig = Rig()
    for number in range(10_000):
        rig.put(number, key=number % 50 == 0)
        rig.clock.pass_s(0.04)
        assert len(rig.queue) <= LATE_S / 0.04 + 1


def test_trouble_is_told_for_some_seconds_after_a_picture_was_skipped() -> None:
    rig = Rig()
    rig.put(0, key=True)
    assert trouble(rig) == ""
    rig.clock.pass_s(0.6)
    rig.taken()
    rig.clock.pass_s(4.9)
    assert "pictures are skipped" in trouble(rig)
    rig.put(1, key=True)
    assert "pictures are skipped" in trouble(rig)
    rig.clock.pass_s(0.2)
    assert trouble(rig) == ""


class Overload:
    """A stream of 25 pictures a second with a key frame every second, on a host that may fall behind."""

    def __init__(self, rig: Rig, disposable_every: int = 0) -> None:
        self.rig = rig
        self.number = 0
        self.disposable_every = disposable_every

    def run(self, seconds: float, *, late: bool) -> list[int]:
        taken: list[int] = []
        for _ in range(round(seconds * 25)):
            number, self.number = self.number, self.number + 1
            key = number % 25 == 0
            disposable = bool(self.disposable_every) and number % self.disposable_every == 1 and not key
            self.rig.put(number, key=key, disposable=disposable, ago_s=0.6 if late and not key else 0.0)
            taken += [pts for pts, _ in self.rig.taken() if pts is not None]
            self.rig.clock.pass_s(0.04)
        return taken


def test_a_stream_with_a_low_rate_goes_over_to_key_frames_when_it_is_late() -> None:
    rig = Rig(fps=1)
    overload = Overload(rig)
    overload.run(3, late=False)
    overload.run(1, late=True)
    assert rig.economy.level is Level.KEYS
    assert overload.run(5, late=False) == [100, 125, 150, 175, 200]
    assert "only key frames" in trouble(rig)


@pytest.mark.parametrize("fps", [None, 10.0])
def test_a_stream_that_wants_more_than_key_frames_keeps_to_whole_groups(fps: float | None) -> None:
    rig = Rig(fps=fps)
    overload = Overload(rig)
    overload.run(3, late=False)
    overload.run(1, late=True)
    assert rig.economy.level is Level.ALL
    assert len(overload.run(2, late=False)) == 50


def test_pictures_that_no_other_needs_go_first() -> None:
    rig = Rig(fps=10)
    overload = Overload(rig, disposable_every=2)
    overload.run(6, late=False)
    overload.run(1, late=True)
    assert rig.economy.level is Level.REFERENCES
    taken = overload.run(1, late=False)
    assert len(taken) == 25 - 12
    assert not rig.queue.put(unit(9999, rig.clock.monotonic(), disposable=True))


def test_the_way_back_is_tried_after_a_while_and_later_each_time_it_fails() -> None:
    rig = Rig(fps=1)
    overload = Overload(rig)
    overload.run(3, late=False)
    waits = []
    for _ in range(4):
        overload.run(1, late=True)
        began_s = rig.clock.monotonic()
        while rig.economy.level is Level.KEYS:
            overload.run(1, late=False)
        waits.append(rig.clock.monotonic() - began_s)
    assert waits == [pytest.approx(expected, abs=1.1) for expected in (9, 19, 39, 79)]
    assert overload.run(1, late=False) != []


def test_pictures_shown_before_the_key_frame_after_a_gap_are_skipped_with_it() -> None:
    """An open group of pictures: those two need a picture that was skipped."""
    rig = Rig()
    rig.put(0, key=True)
    rig.clock.pass_s(0.6)
    rig.put(1, 2)
    rig.put(5, key=True)
    rig.put(3, 4, disposable=True)
    rig.put(6)
    assert (rig.taken(), rig.skipped) == ([(5, True), (6, False)], 5)
    rig.put(9)
    rig.put(7, 8, disposable=True)
    assert rig.taken() == [(9, False), (7, False), (8, False)]


def test_pictures_shown_before_a_key_frame_are_skipped_when_it_waits_already() -> None:
    rig = Rig()
    rig.put(0, key=True)
    rig.clock.pass_s(0.4)
    rig.put(5, key=True)
    rig.put(3, 4, disposable=True)
    rig.put(6)
    rig.clock.pass_s(0.2)
    assert (rig.taken(), rig.skipped) == ([(5, True), (6, False)], 3)


def test_time_stamps_that_start_again_are_no_pictures_of_before() -> None:
    rig = Rig()
    rig.put(0, key=True)
    rig.clock.pass_s(0.6)
    rig.put(1000, key=True)
    for number in range(40):
        rig.put(number)
    assert len(rig.taken()) == 1 + 40 - 16


def test_what_builds_on_a_damaged_unit_is_skipped_as_damaged() -> None:
    rig = Rig()
    rig.put(0, key=True)
    damaged = unit(1, rig.clock.monotonic())._replace(whole=False)
    assert not rig.queue.put(damaged)
    rig.put(2, 3)
    rig.put(4, key=True)
    assert (rig.taken(), dict(rig.reasons)) == ([(0, False), (4, True)], {"damaged": 3})


def test_a_damaged_unit_that_no_other_needs_costs_itself_alone() -> None:
    rig = Rig()
    rig.put(0, key=True)
    rig.queue.put(unit(1, rig.clock.monotonic(), disposable=True)._replace(whole=False))
    rig.put(2)
    assert (rig.taken(), dict(rig.reasons)) == ([(0, False), (2, False)], {"damaged": 1})


def test_a_gap_without_a_key_frame_is_told_for_as_long_as_it_lasts() -> None:
    """A camera that refreshes its pictures bit by bit may send no key frame at all."""
    rig = Rig()
    rig.put(0, key=True)
    rig.clock.pass_s(0.6)
    assert rig.taken() == []
    for number in range(1, 30):
        rig.put(number)
        rig.clock.pass_s(1.0)
    now_s = rig.clock.monotonic()
    assert "up to the next key frame" in trouble(rig)
    assert rig.queue.awaits_key_s(now_s) == pytest.approx(29.0)
    rig.put(30, key=True)
    assert (trouble(rig), rig.queue.awaits_key_s(now_s)) == ("", 0.0)


def damaged(rig: Rig, pts: int, **options: bool) -> bool:
    return rig.queue.put(unit(pts, rig.clock.monotonic(), **options)._replace(whole=False))


def test_a_damaged_unit_is_decoded_like_all_others_when_it_is_to_be_kept() -> None:
    rig = Rig(keep_damaged=True)
    rig.put(0, key=True)
    assert damaged(rig, 1)
    rig.put(2)
    assert (rig.taken(), rig.skipped) == ([(0, False), (1, False), (2, False)], 0)


def test_damage_ends_after_a_while_when_no_key_frame_comes() -> None:
    """Pictures that may be smeared are told of, up to the next key frame, and better than none for a minute."""
    rig = Rig()
    rig.put(0, key=True)
    damaged(rig, 1)
    kept = []
    for number in range(2, 300):
        rig.clock.pass_s(0.04)
        rig.put(number)
        kept += [pts for pts, _ in rig.taken() if pts]
    assert 10.0 / 0.04 <= kept[0] <= 10.1 / 0.04 + 2
    assert len(kept) == 300 - kept[0]
    assert rig.queue.hindrance(rig.clock.monotonic())[0] == "damaged"
    assert "may be smeared" in trouble(rig)
    assert damaged(rig, 300)  # what builds on it is no worse
    rig.put(301, key=True)
    rig.clock.pass_s(6.0)
    assert trouble(rig) == ""
    assert not damaged(rig, 302)


def test_what_waits_behind_a_unit_that_proved_damaged_goes_up_to_the_next_key_frame() -> None:
    rig = Rig()
    rig.put(0, key=True)
    rig.put(1, 2, 3)
    rig.put(4, key=True)
    rig.put(5)
    assert [rig.queue.take().packet.pts for _ in range(2)] == [0, 1]  # type: ignore[union-attr] # both wait
    rig.queue.break_off()
    assert (rig.taken(), dict(rig.reasons)) == ([(4, True), (5, False)], {"damaged": 2})


def test_what_comes_after_a_unit_that_proved_damaged_is_skipped_when_nothing_waits() -> None:
    rig = Rig()
    rig.put(0, key=True)
    rig.taken()
    rig.queue.break_off()
    rig.put(1, 2)
    assert rig.queue.starves
    rig.put(3, key=True)
    assert (rig.taken(), dict(rig.reasons)) == ([(3, True)], {"damaged": 2})


def test_a_gap_at_the_end_stays_when_what_waits_before_it_proves_damaged() -> None:
    rig = Rig()
    rig.put(0, key=True)
    rig.put(1)
    rig.put(2, key=True)
    rig.put(3)
    damaged(rig, 4)
    rig.queue.take()
    rig.queue.break_off()
    rig.put(5)
    assert rig.taken() == [(2, True), (3, False)]
    rig.put(6, key=True)
    assert rig.taken() == [(6, True)]


def test_pictures_up_to_the_end_of_a_refresh_are_decoded_and_not_shown() -> None:
    """After a gap a recovery point begins a refresh that takes some pictures (H.264 annex D.2.8)."""
    rig = Rig()
    now_s = rig.clock.monotonic()
    rig.put(0, key=True)
    refresh = unit(1, now_s, key=True)._replace(recovery=2)
    rig.queue.put(refresh)
    rig.put(2)
    assert [each.shown for each in iter(rig.queue.take, None)] == [True] * 3
    damaged(rig, 3)
    rig.queue.put(refresh._replace(packet=unit(4, now_s).packet))
    rig.put(5, disposable=True)
    rig.put(6, 7)
    assert [(each.packet.pts, each.shown) for each in iter(rig.queue.take, None)] == [
        (4, False),
        (5, False),
        (6, False),
        (7, True),
    ]


def test_a_stream_starves_when_pictures_are_late_but_not_when_few_are_wanted() -> None:
    rig = Rig(fps=1)
    overload = Overload(rig)
    overload.run(3, late=False)
    overload.run(1, late=True)
    assert rig.queue.starves
    overload.run(2, late=False)
    assert (rig.economy.level, rig.queue.starves) == (Level.KEYS, False)


def test_a_connection_that_begins_amid_a_picture_has_lost_none() -> None:
    rig = Rig()
    damaged(rig, 0)
    rig.put(1, 2)
    rig.put(3, key=True)
    assert (rig.taken(), rig.skipped, trouble(rig)) == ([(3, True)], 0, "")


def test_losses_in_a_row_are_told_of_once() -> None:
    rig = Rig()
    rig.put(0, key=True)
    told = []
    for number in range(1, 100):
        rig.clock.pass_s(0.1)
        if number % 20 == 7:
            damaged(rig, number)
        else:
            rig.put(number, key=number % 10 == 0)
        told.append(trouble(rig))
    assert len(set(told[7:])) == 1
