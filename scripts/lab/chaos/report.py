"""The report of a soak under faults, with its goals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framelane.measure.figures import Percentiles
from framelane.measure.report import Goal, Section, figures_section, goals_section, latency_text, number
from lab.chaos.holdings import PARENT
from lab.chaos.recovery import LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.measure.host import Host
    from lab.chaos.holdings import Holding
    from lab.chaos.recovery import Recovery
    from lab.chaos.results import Losses
    from lab.completeness import Completeness

MOST_SWING = 0.10


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of a run.

    Attributes:
        seed: seed that repeats the plan.
        minutes: from the start of the first storm to the end of the last calm.
        cameras: number of camera faults by kind.
        cameras_away_s: total outage of all cameras.
        broker: number of broker faults by kind.
        broker_away_s: total outage of the broker.
        workers: killed worker processes.
        spared: skipped strikes by reason.
    """

    seed: int
    minutes: float
    cameras: Mapping[str, int]
    cameras_away_s: float
    broker: Mapping[str, int]
    broker_away_s: float
    workers: int
    spared: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The arrived results.

    Attributes:
        losses: lost results.
        told: the consumer's counts.
        forgotten: sessions of the consumer that the broker lost in a restart.
        sync_s: age of the results that a killed process may lose.
    """

    losses: Losses
    told: Completeness
    forgotten: int
    sync_s: float


@dataclass(frozen=True, slots=True)
class Life:
    """Whether the daemon made progress.

    Attributes:
        feeds: number of watchdog messages.
        longest_s: longest time between two of them.
        watchdog_s: time after which a service manager would have ended it.
        exit_code: exit code of the daemon after the stop at the end.
        complaints: log events at level error, except streams and workers that went down.
    """

    feeds: int
    longest_s: float
    watchdog_s: float
    exit_code: int
    complaints: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ChaosReport:
    """All figures of a soak under faults."""

    host: Host
    command: str
    streams: int
    workers: int
    faults: Faults
    delivery: Delivery
    recoveries: tuple[Recovery, ...]
    holdings: tuple[Holding, ...]
    life: Life

    @property
    def passed(self) -> bool:
        """Return whether every goal is met."""
        return all(goal.met for goal in self.goals)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goals."""
        losses, life = self.delivery.losses, self.life
        judged = [each for each in self.recoveries if each.judged]
        with_worker = max(losses.with_worker_s, default=0.0)
        return (
            Goal.at_most("results lost", 0, losses.lost),
            Goal.at_most("results missing in the JSON lines", 0, losses.unwitnessed),
            Goal.at_most("oldest result lost with a killed worker", self.delivery.sync_s, with_worker, " s"),
            Goal.at_most("sessions lost by the broker", 0, self.delivery.forgotten),
            Goal.at_least("judged recoveries of streams", 1, len(judged)),
            Goal.at_most("streams that did not recover", 0, sum(each.late_s is None for each in judged)),
            Goal.at_most("live again, after the wait in force", LIMIT_S, self._latest_s, " s"),
            *(goal for holding in self.holdings for goal in _flat(holding)),
            Goal.at_least("watchdog messages", 1, life.feeds),
            Goal.at_most("longest time without one", life.watchdog_s, life.longest_s, " s"),
            Goal.at_most("exit code", 0, life.exit_code),
        )

    @property
    def _latest_s(self) -> float:
        return max((each.late_s for each in self.recoveries if each.late_s is not None), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {**asdict(self), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of faults, results, processes and goals."""
        head = (
            f"{self.streams} cameras, {self.workers} workers, {self.faults.minutes:.1f} minutes\n{self.host}"
        )
        return (
            figures_section(head, self._faults()),
            figures_section("Result", self._outcome()),
            _holdings_section(self.holdings),
            goals_section(self.goals),
        )

    def _faults(self) -> dict[str, str]:
        faults = self.faults
        return {
            "seed": str(faults.seed),
            "cameras": f"{_counts(faults.cameras)}; {faults.cameras_away_s:.0f} s away in all",
            "broker": f"{_counts(faults.broker)}; {faults.broker_away_s:.0f} s away in all",
            "workers": f"{faults.workers} killed",
            "left out": _counts(faults.spared) or "nothing",
        }

    def _outcome(self) -> dict[str, str]:
        losses, told, life = self.delivery.losses, self.delivery.told, self.life
        late = [each.late_s for each in self.recoveries if each.late_s is not None]
        cut_short = sum(not each.judged for each in self.recoveries)
        taken = losses.with_worker_s
        return {
            "results published / received": f"{losses.published:,} / {losses.received:,} in {losses.runs} runs",
            "of these from the spool": number(told.replayed, 0),
            "repeated / out of order": f"{told.repeated:,} / {told.disordered:,}",
            "lost": str(losses.lost),
            "lost with killed workers": f"{len(taken)}, the oldest {max(taken, default=0.0):.3f} s before the kill",
            "streams that recovered": f"{len(late)}; {cut_short} more were hit again before they could be judged",
            "late, ms, p50 / p90 / p95 / p99": latency_text(Percentiles.of_seconds(late)),
            "watchdog": f"fed {life.feeds} times, {life.longest_s:.1f} s apart at most",
            "errors in the log": _counts(life.complaints) or "none",
        }


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in counts.items() if count)


def _flat(holding: Holding) -> tuple[Goal, ...]:
    """Return a process's goals; a killed worker is a new process, so only its memory is comparable."""
    rss = Goal.at_most(f"{holding.process}: RSS off its median", MOST_SWING, holding.rss_mb.swing)
    if holding.process != PARENT:
        return (rss,)
    (threads, threads_last, _), (first, last, _) = holding.threads, holding.descriptors
    return (
        rss,
        Goal.at_most(f"{holding.process}: additional threads", 0, threads_last - threads),
        Goal.at_most(f"{holding.process}: additional descriptors", 0, last - first),
    )


def _holdings_section(holdings: tuple[Holding, ...]) -> Section:
    rows = tuple(
        (
            each.process,
            str(each.looks),
            f"{each.rss_mb.first:.1f} / {each.rss_mb.middle:.1f} / {each.rss_mb.last:.1f}",
            f"{each.rss_mb.swing:.1%}",
            number(each.rss_mb.slope_an_hour),
            " / ".join(map(str, each.threads)),
            " / ".join(map(str, each.descriptors)),
        )
        for each in holdings
    )
    columns = ("process", "looks", "RSS MB, first / median / last", "off its median", "MB per hour",
               "threads, first / last / most", "descriptors")  # fmt: skip
    return Section("At the end of each calm", columns, rows)
