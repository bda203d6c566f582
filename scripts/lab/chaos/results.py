"""Compare published with arrived results, and explain the missing ones."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

Run = tuple[str, str]
"""One run of a publishing process and one of its streams: `seq` counts from 1 within both."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Published results that did not arrive.

    Attributes:
        runs: runs of publishing processes, counted per stream.
        published: results by the highest known number of each run.
        received: results that arrived.
        lost: results that did not arrive, without those lost with a killed process.
        with_worker_s: for each result lost with a killed worker, seconds from publishing to the kill.
        unwitnessed: results missing in the JSON lines of runs without a kill; there must be none.
    """

    runs: int
    published: int
    received: int
    lost: int
    with_worker_s: tuple[float, ...]
    unwitnessed: int


def account(
    published: Mapping[Run, Mapping[int, float]],
    received: Mapping[Run, AbstractSet[int]],
    kills: Mapping[str, Sequence[float]],
) -> Losses:
    """Compare the JSON lines with what arrived.

    Args:
        published: Unix time by number; a killed process's last tenth of a second may be missing.
        received: arrived numbers.
        kills: Unix times of the kills of each stream's worker.
    """
    total = came = lost = unwitnessed = 0
    with_worker_s: list[float] = []
    runs = published.keys() | received.keys()
    ends = _ends(published, kills)
    for run in runs:
        known, got = published.get(run, {}), received.get(run, frozenset())
        most = max([*known, *got])
        total += most
        came += len(got)
        killed_at = ends.get(run)
        if killed_at is None:
            lost += most - len(got)
            unwitnessed += most - len(known)
        else:
            missing = [number for number in range(1, most + 1) if number not in got]
            with_worker_s += [killed_at - _published_at(number, known) for number in missing]
    return Losses(len(runs), total, came, lost, tuple(sorted(with_worker_s)), unwitnessed)


def _ends(
    published: Mapping[Run, Mapping[int, float]], kills: Mapping[str, Sequence[float]]
) -> dict[Run, float]:
    """Return when a kill ended a run: the first one after its last result; None for the newest run."""
    runs: defaultdict[str, list[Run]] = defaultdict(list)
    for run in sorted(published, key=lambda run: min(published[run].values())):
        runs[run[1]].append(run)
    ends = {}
    for stream, of_stream in runs.items():
        for run in of_stream[:-1]:
            last_at = max(published[run].values())
            after = [at for at in kills.get(stream, ()) if at >= last_at]
            if after:
                ends[run] = min(after)
    return ends


def _published_at(number: int, known: Mapping[int, float]) -> float:
    """Return when a number was published; if unknown, when the one before it was, which is earlier."""
    if number in known:
        return known[number]
    return max((at for other, at in known.items() if other < number), default=float("-inf"))
