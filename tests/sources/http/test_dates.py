"""When the dates in a playlist are believed."""

from __future__ import annotations

import pytest

from framelane.sources.http.dates import Dates
from framelane.sources.http.playlist import Resource, Segment
from framelane.sources.http.segment_feed import Piece

DATE = 1_700_000_000.0


def piece(age_s: float | None, date: float | None = DATE) -> Piece:
    """A piece whose playlist ended so many seconds ago."""
    segment = Segment(Resource("http://cam/a.ts"), 0, 2.0, breaks=False, date=date)
    return Piece(segment, b"", b"", begins=False, age_s=age_s, target_s=2.0)


@pytest.mark.parametrize(
    ("wanted", "age_s", "captured_at"),
    [
        ("auto", 0.5, DATE + 1.5),
        ("auto", -1.9, DATE + 1.5),
        ("auto", 15.9, DATE + 1.5),
        ("auto", -2.1, None),
        ("auto", 16.1, None),
        ("rtcp", 3600.0, DATE + 1.5),
        ("receive", 0.5, None),
    ],
)
def test_dates_are_believed_if_they_fit_our_clock(
    wanted: str, age_s: float, captured_at: float | None
) -> None:
    dates = Dates(wanted)  # type: ignore[arg-type] # one of three words
    dates.begin(piece(age_s))
    assert dates.captured_at(1.5) == captured_at


def test_dates_that_are_not_believed_are_told_of() -> None:
    dates = Dates("auto")
    dates.begin(piece(3600.0))
    assert dates.note == "the playlist's dates are 3600 s behind this host's clock and are not trusted"
    dates = Dates("auto")
    dates.begin(piece(-90.0))
    assert dates.note == "the playlist's dates are 90 s ahead of this host's clock and are not trusted"


def test_one_segment_that_comes_late_changes_nothing() -> None:
    dates = Dates("auto")
    dates.begin(piece(1.0))
    for age_s in (60.0, 60.0, 1.0, 60.0):
        dates.begin(piece(age_s))
        assert dates.captured_at(0.0) == DATE
    for _ in range(2):
        dates.begin(piece(60.0))
    assert dates.captured_at(0.0) is None


def test_playlist_without_dates_says_nothing() -> None:
    dates = Dates("auto")
    dates.begin(piece(None, None))
    assert (dates.captured_at(0.0), dates.note) == (None, "")
