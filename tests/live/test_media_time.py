from __future__ import annotations

from framelane.live.media_time import FIRST_TICKS as FIRST
from framelane.live.media_time import MediaTime


def test_media_time_follows_the_stamps() -> None:
    time, line = MediaTime(), object()
    placed = [time.unit(line, 1000.0 + at_s, at_s) for at_s in (0.0, 0.04, 0.12, 0.08)]
    assert placed == [(FIRST, True), (FIRST + 3600, False), (FIRST + 10_800, False), (FIRST + 7200, False)]


def test_a_result_finds_its_own_picture_only() -> None:
    time, line = MediaTime(), object()
    time.unit(line, 5.0, 0.0)
    time.unit(line, 5.04, 0.04)
    assert [time.frame(5.0), time.frame(5.04), time.frame(5.02), time.frame(None)] == [
        FIRST,
        FIRST + 3600,
        None,
        None,
    ]


def test_a_new_connection_goes_on_by_the_time_that_passed() -> None:
    time = MediaTime()
    time.unit(object(), 50.0, 10.0)
    assert time.unit(object(), 0.0, 12.5) == (FIRST + 225_000, True)
    # The old connection's results are nobody's.
    assert time.frame(50.0) is None


def test_a_jump_of_the_cameras_clock_is_bridged() -> None:
    time, line = MediaTime(), object()
    time.unit(line, 0.0, 0.0)
    assert time.unit(line, 5000.0, 0.04) == (FIRST + 3600, True)
    assert time.unit(line, 10.0, 0.08) == (FIRST + 7200, True)


def test_old_pictures_are_forgotten() -> None:
    time, line = MediaTime(), object()
    for number in range(2000):
        time.unit(line, number / 25, number / 25)
    assert (time.frame(0.0), time.frame(1999 / 25)) == (None, FIRST + 1999 * 3600)
