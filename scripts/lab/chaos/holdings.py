"""Resources of the daemon's processes, sampled in calms, each process separately."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import psutil

from framelane.measure.errors import BenchError
from framelane.measure.figures import Flatness
from framelane.measure.process import usage_alone

if TYPE_CHECKING:
    from framelane.measure.process import Usage

PARENT = "daemon"


class Look(NamedTuple):
    """One sample of a process: seconds since the first sample, and its resources."""

    at_s: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class Holding:
    """Resources of one process over time; a worker's include all its restarts.

    Attributes:
        process: "daemon", or a worker's name.
        looks: number of samples.
        rss_mb: memory over all samples.
        threads: threads at the first sample, at the last, and the most.
        descriptors: descriptors likewise.
    """

    process: str
    looks: int
    rss_mb: Flatness
    threads: tuple[int, int, int]
    descriptors: tuple[int, int, int]

    @staticmethod
    def of(process: str, looks: list[Look]) -> Holding:
        """Summarize samples; at least one is needed."""
        usages = [look.usage for look in looks]
        return Holding(
            process,
            len(looks),
            Flatness.of([look.at_s for look in looks], [usage.rss_mb for usage in usages]),
            _ends([usage.threads for usage in usages]),
            _ends([usage.descriptors for usage in usages]),
        )


class Holdings:
    """Samples a daemon and its workers."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looks: defaultdict[str, list[Look]] = defaultdict(list)

    def look(self, at_s: float) -> None:
        """Sample each process; raise BenchError if the daemon has ended."""
        self._looks[PARENT].append(Look(at_s, usage_alone(self._pid)))
        for name, pid in workers_of(self._pid).items():
            try:
                self._looks[name].append(Look(at_s, usage_alone(pid)))
            # The worker has just ended.
            except BenchError:
                continue

    def all(self) -> tuple[Holding, ...]:
        """Return the summary of each process."""
        return tuple(Holding.of(process, looks) for process, looks in sorted(self._looks.items()))


def workers_of(pid: int) -> dict[str, int]:
    """Return process ids of a daemon's workers by name, which is their last argument."""
    found = {}
    for child in psutil.Process(pid).children():
        try:
            words = child.cmdline()
        except psutil.NoSuchProcess:
            continue
        if "framelane.fleet" in words:
            found[words[-1]] = child.pid
    return found


def _ends(values: list[int]) -> tuple[int, int, int]:
    return values[0], values[-1], max(values)
