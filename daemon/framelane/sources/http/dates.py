"""Judges the dates in a playlist (EXT-X-PROGRAM-DATE-TIME)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framelane.config.sections.stream import ClockChoice
    from framelane.sources.http.segment_feed import Piece

_MOST_AHEAD_S = 2.0
_MOST_LATE_TARGETS, _MOST_LATE_S = 3.0, 10.0
# Segments in a row that have to contradict.
_CONTRADICTIONS = 3


class Dates:
    """Takes one connection's capture times from the playlist's dates while they agree with this host's clock.

    The end of a live playlist is close to the present, so its dates show how far the server's clock differs
    from ours. A clock that was never set is not trusted, unless the configuration asks for it.

    Args:
        wanted: the stream's `clock`; "rtcp" always trusts the dates.
    """

    def __init__(self, wanted: ClockChoice) -> None:
        self._wanted = wanted
        self._date: float | None = None
        self._believed: bool | None = None
        self._contrary = 0
        self._age_s = 0.0

    @property
    def note(self) -> str:
        """Why the dates are not trusted, as a sentence; empty if they are, or if there are none."""
        if self._believed is not False or self._wanted == "receive":
            return ""
        where = "ahead of" if self._age_s < 0 else "behind"
        return (
            f"the playlist's dates are {abs(self._age_s):.0f} s {where} this host's clock and are not trusted"
        )

    def begin(self, piece: Piece) -> None:
        """Start a new segment."""
        self._date = piece.segment.date
        if piece.age_s is None:
            return
        latest_s = _MOST_LATE_TARGETS * piece.target_s + _MOST_LATE_S
        sane = self._wanted == "rtcp" or -_MOST_AHEAD_S <= piece.age_s <= latest_s
        self._contrary = 0 if sane == self._believed else self._contrary + 1
        if self._believed is None or self._contrary >= _CONTRADICTIONS:
            self._believed, self._contrary, self._age_s = sane, 0, piece.age_s

    def captured_at(self, into_s: float) -> float | None:
        """Return the Unix time of a picture `into_s` after the segment's start; None if unknown."""
        if self._date is None or not self._believed or self._wanted == "receive":
            return None
        return self._date + into_s
