"""CPU time that nobody's process used: interrupts' and the hypervisor's.

Whoever runs on a CPU where they take much is slow, and the kernel counts part of it as that process's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import psutil

_TAKERS = ("irq", "softirq", "steal")
_TWICE = ("guest", "guest_nice")  # of virtual machines that run here: in user's time already

CpuTimes: TypeAlias = Sequence[Mapping[str, float]]
"""Of each CPU the seconds that it has spent since the system's start, by what on."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Shares of the CPUs' time, 0 to 1.

    Attributes:
        mean: over all CPUs.
        most: of the CPU where they took most.
        cpu: which that is.
    """

    mean: float
    most: float
    cpu: int

    def __str__(self) -> str:
        return f"{self.mean:.0%}, CPU {self.cpu} {self.most:.0%}"


def cpu_times() -> CpuTimes:
    """Now; what the system doesn't tell isn't there."""
    return [times._asdict() for times in psutil.cpu_times(percpu=True)]


def taken_between(before: CpuTimes, after: CpuTimes) -> Taken:
    """What was taken between two looks at the same CPUs."""
    shares = [_share(*looks) for looks in zip(before, after, strict=True)]
    most = max(shares)
    return Taken(sum(shares) / len(shares), most, shares.index(most))


def _share(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    grown = {name: seconds - before[name] for name, seconds in after.items()}
    spent = sum(grown.values()) - sum(grown.get(name, 0.0) for name in _TWICE)
    return sum(grown.get(name, 0.0) for name in _TAKERS) / spent if spent > 0 else 0.0
