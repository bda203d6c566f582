"""What is struck, how and when: drawn from a seeded generator, so that a run can be had again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

BROKER = "broker"
Kind = Literal["kill", "hang", "stop"]
"""SIGKILL; SIGSTOP, so that connections stay and nothing answers; SIGTERM, as an operator restarts it."""

_OVERHEAD_S = 1.0  # a strike so close to the storm's end has no time to be noticed


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault.

    Attributes:
        at_s: when, in seconds from the first storm's begin.
        target: a camera's stream, "broker", or a worker's name.
        kind: what is done to it.
        outage_s: after so long it is brought back; a worker's restart is the daemon's own business: 0.
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
        most_s: the longest; in between all are as likely.
        kinds: ways to fail, each as likely as it stands there often.
    """

    up_s: float
    least_s: float
    most_s: float
    kinds: tuple[Kind, ...]


CAMERA_HABITS = Habits(60.0, 1.0, 20.0, ("kill", "kill", "hang"))
BROKER_HABITS = Habits(25.0, 1.0, 15.0, ("kill", "stop", "hang"))
WORKER_SHARE = 0.7
"""Of storms in which a worker is killed, each worker for itself."""


@dataclass(frozen=True, slots=True)
class Weather:
    """Rounds of a storm, in which faults overlap as they come, and a calm, in which all must come back."""

    rounds: int
    storm_s: float
    calm_s: float

    @property
    def round_s(self) -> float:
        """Length of a round."""
        return self.storm_s + self.calm_s

    @staticmethod
    def of(minutes: float, storm_s: float, calm_s: float) -> Weather:
        """As many whole rounds as fit, one at least."""
        return Weather(max(int(minutes * 60 / (storm_s + calm_s)), 1), storm_s, calm_s)


def make_plan(random: Random, weather: Weather, cameras: list[str], workers: list[str]) -> list[Strike]:
    """All strikes, in the order of time. Each target's outages follow one another; different targets' overlap."""
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
    """Within a storm; the first strike comes as if the target had been up long."""
    at_s = began_s + random.expovariate(1 / habits.up_s)
    while at_s < over_s - _OVERHEAD_S:
        outage_s = min(random.uniform(habits.least_s, habits.most_s), over_s - at_s)
        yield Strike(at_s, target, random.choice(habits.kinds), outage_s)
        at_s += outage_s + random.expovariate(1 / habits.up_s)
