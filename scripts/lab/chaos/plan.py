"""The plan of faults: target, kind and time, drawn from a seeded generator, so that a run can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

BROKER = "broker"
Kind = Literal["kill", "hang", "stop"]
"""SIGKILL; SIGSTOP, which keeps connections open without an answer; SIGTERM, like an operator's restart."""

# A strike closer than this to the storm's end would not be noticed in time.
_OVERHEAD_S = 1.0


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault.

    Attributes:
        at_s: time, in seconds from the start of the first storm.
        target: a camera's stream, "broker", or a worker's name.
        kind: kind of fault.
        outage_s: seconds until it is restored; 0 for a worker, which the daemon restarts itself.
    """

    at_s: float
    target: str
    kind: Kind
    outage_s: float


@dataclass(frozen=True, slots=True)
class Habits:
    """How one kind of target fails.

    Attributes:
        up_s: mean time between the end of one outage and the next strike, exponential.
        least_s: the shortest outage.
        most_s: the longest outage; lengths are uniformly distributed in between.
        kinds: kinds of faults; repeat one to make it more likely.
    """

    up_s: float
    least_s: float
    most_s: float
    kinds: tuple[Kind, ...]


CAMERA_HABITS = Habits(60.0, 1.0, 20.0, ("kill", "kill", "hang"))
BROKER_HABITS = Habits(25.0, 1.0, 15.0, ("kill", "stop", "hang"))
WORKER_SHARE = 0.7
"""Share of storms in which a worker is killed, for each worker separately."""


@dataclass(frozen=True, slots=True)
class Weather:
    """Rounds of a storm with overlapping faults and a calm in which everything must recover."""

    rounds: int
    storm_s: float
    calm_s: float

    @property
    def round_s(self) -> float:
        """Return the length of a round in seconds."""
        return self.storm_s + self.calm_s

    @staticmethod
    def of(minutes: float, storm_s: float, calm_s: float) -> Weather:
        """Return the number of whole rounds that fit, at least one."""
        return Weather(max(int(minutes * 60 / (storm_s + calm_s)), 1), storm_s, calm_s)


def make_plan(random: Random, weather: Weather, cameras: list[str], workers: list[str]) -> list[Strike]:
    """Return all strikes in order of time; only outages of different targets overlap."""
    strikes: list[Strike] = []
    for number in range(weather.rounds):
        began_s = number * weather.round_s
        for target, habits in [*((camera, CAMERA_HABITS) for camera in cameras), (BROKER, BROKER_HABITS)]:
            strikes += _outages(random, target, habits, began_s, began_s + weather.storm_s)
        for worker in workers:
            if random.random() < WORKER_SHARE:
                at_s = began_s + random.uniform(0.0, weather.storm_s - _OVERHEAD_S)
                strikes.append(Strike(at_s, worker, "kill", 0.0))
    return sorted(strikes, key=lambda strike: strike.at_s)


def _outages(random: Random, target: str, habits: Habits, began_s: float, over_s: float) -> Iterator[Strike]:
    """Yield one target's strikes in a storm, as if it had been up for long before the first one."""
    at_s = began_s + random.expovariate(1 / habits.up_s)
    while at_s < over_s - _OVERHEAD_S:
        outage_s = min(random.uniform(habits.least_s, habits.most_s), over_s - at_s)
        yield Strike(at_s, target, random.choice(habits.kinds), outage_s)
        at_s += outage_s + random.expovariate(1 / habits.up_s)
