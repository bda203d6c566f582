"""CPU time taken by interrupts and the hypervisor.

A process on a CPU where they take much is slow, and the kernel counts part of that time as the process's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import psutil

_TAKERS = ("irq", "softirq", "steal")
# Time of virtual machines on this host, already contained in user time.
_TWICE = ("guest", "guest_nice")

CpuTimes: TypeAlias = Sequence[Mapping[str, float]]
"""Seconds of each CPU since the system's start, by kind."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Shares of the CPUs' time, 0 to 1.

    Attributes:
        mean: mean of all CPUs.
        most: largest share of one CPU.
        cpu: that CPU.
    """

    mean: float
    most: float
    cpu: int

    def __str__(self) -> str:
        return f"{self.mean:.0%}, CPU {self.cpu} {self.most:.0%}"


def cpu_times() -> CpuTimes:
    """Read the current values; kinds that the system doesn't report are absent."""
    return [times._asdict() for times in psutil.cpu_times(percpu=True)]


def taken_between(before: CpuTimes, after: CpuTimes) -> Taken:
    """Return the share taken between two samples of the same CPUs."""
    shares = [_share(*looks) for looks in zip(before, after, strict=True)]
    most = max(shares)
    return Taken(sum(shares) / len(shares), most, shares.index(most))


def _share(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    grown = {name: seconds - before[name] for name, seconds in after.items()}
    spent = sum(grown.values()) - sum(grown.get(name, 0.0) for name in _TWICE)
    return sum(grown.get(name, 0.0) for name in _TAKERS) / spent if spent > 0 else 0.0
