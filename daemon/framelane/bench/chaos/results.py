"""Which results were published, which came, and what became of the others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

Run = tuple[str, str]
"""One start of the process that publishes, and a stream of it: `seq` counts from 1 within both."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What of the published did not come.

    Attributes:
        runs: starts of a publishing process, for each stream.
        published: results by the highest number of each run that anybody knows.
        received: results that came.
        lost: results that did not come, and that no killed process took with it.
        with_worker_s: of each result that went with a killed worker: published so long before the kill.
        unwitnessed: results of runs that no kill ended, which the witness does not know: it is to know all.
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
    """Compare what the witness saw with what came.

    Args:
        published: Unix time by number; of a killed process the last tenth of a second may be missing.
        received: numbers that came.
        kills: Unix times at which the worker of a stream was killed.
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
    """When a kill ended a run: the first of its stream's kills after its last result; none for the newest run."""
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
    """When it was published, or, where nobody knows, when the one before it was, which is earlier."""
    if number in known:
        return known[number]
    return max((at for other, at in known.items() if other < number), default=float("-inf"))
