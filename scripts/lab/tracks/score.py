"""Scores of counted crossings against true ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.tracks.footage import Crossing

_MOST_APART_S = 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """Counts that add up over clips.

    Attributes:
        right: crossings within a second of a true one of the same line and direction, each used once.
        counted: all counted crossings.
        true: all true ones.
        errors: sum of |counted - true| over lines and directions.
    """

    right: int
    counted: int
    true: int
    errors: int

    def __add__(self, other: Score) -> Score:
        return Score(
            self.right + other.right,
            self.counted + other.counted,
            self.true + other.true,
            self.errors + other.errors,
        )

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.right / max(self.counted + self.true, 1)

    @property
    def net_error(self) -> float:
        """Share by which the sum of all counts is off."""
        return abs(self.counted - self.true) / max(self.true, 1)

    @property
    def count_error(self) -> float:
        """Share by which counts per line and direction are off, without too many here making up for too few there."""
        return self.errors / max(self.true, 1)


NOTHING = Score(0, 0, 0, 0)


def score(counted: Sequence[Crossing], true: Sequence[Crossing]) -> Score:
    """Compare the crossings of a clip with the true ones; those to ignore take counted ones that fit no other."""
    wanted = [each for each in true if not each.ignore]
    right, rest = _matched(counted, wanted)
    _, wrong = _matched(rest, [each for each in true if each.ignore])
    kept = [*right, *wrong]
    counts = Counter((each.line, each.direction) for each in kept)
    counts.subtract((each.line, each.direction) for each in wanted)
    return Score(len(right), len(kept), len(wanted), sum(map(abs, counts.values())))


def _matched(counted: Sequence[Crossing], true: Sequence[Crossing]) -> tuple[list[Crossing], list[Crossing]]:
    """Return the counted crossings that are near a true one of their line and direction, and the others."""
    left: dict[tuple[int, int], list[float]] = defaultdict(list)
    for each in true:
        left[each.line, each.direction].append(each.at_s)
    right, rest = [], []
    for each in sorted(counted, key=lambda each: each.at_s):
        times_s = left[each.line, each.direction]
        near_s = min(times_s, key=lambda at_s: abs(at_s - each.at_s), default=float("inf"))
        if abs(near_s - each.at_s) <= _MOST_APART_S:
            times_s.remove(near_s)
            right.append(each)
        else:
            rest.append(each)
    return right, rest
