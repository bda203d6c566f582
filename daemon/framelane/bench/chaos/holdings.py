"""What the daemon's processes hold, looked at in calm weather: each for itself."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import psutil

from framelane.bench.errors import BenchError
from framelane.bench.figures import Flatness
from framelane.bench.process import usage_alone

if TYPE_CHECKING:
    from framelane.bench.process import Usage

PARENT = "daemon"


class Look(NamedTuple):
    """One process at one moment: seconds since the first look, and what it held."""

    at_s: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class Holding:
    """What one process held over time; a worker's is that of all its lives.

    Attributes:
        process: "daemon", or a worker's name.
        looks: how many there were.
        rss_mb: over all looks.
        threads: at the first look, at the last, and most ever.
        descriptors: likewise.
    """

    process: str
    looks: int
    rss_mb: Flatness
    threads: tuple[int, int, int]
    descriptors: tuple[int, int, int]

    @staticmethod
    def of(process: str, looks: list[Look]) -> Holding:
        """Of some looks, one at least."""
        usages = [look.usage for look in looks]
        return Holding(
            process,
            len(looks),
            Flatness.of([look.at_s for look in looks], [usage.rss_mb for usage in usages]),
            _ends([usage.threads for usage in usages]),
            _ends([usage.descriptors for usage in usages]),
        )


class Holdings:
    """Looks at a daemon and its workers."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looks: defaultdict[str, list[Look]] = defaultdict(list)

    def look(self, at_s: float) -> None:
        """Note what each process holds; raises BenchError where the daemon has ended."""
        self._looks[PARENT].append(Look(at_s, usage_alone(self._pid)))
        for name, pid in workers_of(self._pid).items():
            try:
                self._looks[name].append(Look(at_s, usage_alone(pid)))
            except BenchError:  # it has just ended
                continue

    def all(self) -> tuple[Holding, ...]:
        """Of each process that was ever seen."""
        return tuple(Holding.of(process, looks) for process, looks in sorted(self._looks.items()))


def workers_of(pid: int) -> dict[str, int]:
    """Process ids of a daemon's workers by name, which each has as its last argument."""
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
