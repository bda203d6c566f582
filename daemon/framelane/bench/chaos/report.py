"""What a soak under faults came to, and what was asked of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framelane.bench.chaos.holdings import PARENT
from framelane.bench.chaos.recovery import LIMIT_S
from framelane.bench.figures import Percentiles
from framelane.bench.report import Goal, Section, figures_section, goals_section, latency_text, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.bench.chaos.holdings import Holding
    from framelane.bench.chaos.recovery import Recovery
    from framelane.bench.chaos.results import Losses
    from framelane.bench.completeness import Completeness
    from framelane.bench.host import Host

MOST_SWING = 0.10


@dataclass(frozen=True, slots=True)
class Faults:
    """What was done.

    Attributes:
        seed: draws the same again.
        minutes: from the first storm's begin to the last calm's end.
        cameras: times that each way to fail came.
        cameras_away_s: how long cameras were away, all together.
        broker: likewise.
        broker_away_s: likewise.
        workers: worker processes killed.
        spared: strikes that were left out, and why.
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
    """What came.

    Attributes:
        losses: of the results.
        told: as the consumer booked them.
        forgotten: sessions that the broker did not keep for the consumer over a restart.
        sync_s: what a killed process may take with it.
    """

    losses: Losses
    told: Completeness
    forgotten: int
    sync_s: float


@dataclass(frozen=True, slots=True)
class Life:
    """Whether the daemon got on.

    Attributes:
        feeds: of its watchdog.
        longest_s: between two of them.
        watchdog_s: after which a service manager would have ended it.
        exit_code: of the daemon, told to stop at the end.
        complaints: events of its log at level error other than streams and workers that went down.
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
        """Whether every goal is met."""
        return all(goal.met for goal in self.goals)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What is asked."""
        losses, life = self.delivery.losses, self.life
        judged = [each for each in self.recoveries if each.judged]
        with_worker = max(losses.with_worker_s, default=0.0)
        return (
            Goal.at_most("results lost", 0, losses.lost),
            Goal.at_most("results that the witness missed", 0, losses.unwitnessed),
            Goal.at_most("oldest result that a killed worker took", self.delivery.sync_s, with_worker, " s"),
            Goal.at_most("sessions that the broker forgot", 0, self.delivery.forgotten),
            Goal.at_least("returns of streams that were judged", 1, len(judged)),
            Goal.at_most("streams that did not come back", 0, sum(each.late_s is None for each in judged)),
            Goal.at_most("live again, after the wait in force", LIMIT_S, self._latest_s, " s"),
            *(goal for holding in self.holdings for goal in _flat(holding)),
            Goal.at_least("feeds of the watchdog", 1, life.feeds),
            Goal.at_most("longest time without", life.watchdog_s, life.longest_s, " s"),
            Goal.at_most("exit code", 0, life.exit_code),
        )

    @property
    def _latest_s(self) -> float:
        return max((each.late_s for each in self.recoveries if each.late_s is not None), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {**asdict(self), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Faults, results, processes, goals."""
        head = (
            f"{self.streams} cameras, {self.workers} workers, {self.faults.minutes:.1f} minutes\n{self.host}"
        )
        return (
            figures_section(head, self._faults()),
            figures_section("What came of it", self._outcome()),
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
            "of these out of the spool": number(told.replayed, 0),
            "came again / out of order": f"{told.repeated:,} / {told.disordered:,}",
            "lost": str(losses.lost),
            "gone with killed workers": f"{len(taken)}, the oldest {max(taken, default=0.0):.3f} s before the kill",
            "streams that came back": f"{len(late)}; {cut_short} more were struck again before they could be judged",
            "late, ms, p50 / p90 / p95 / p99": latency_text(Percentiles.of_seconds(late)),
            "watchdog": f"fed {life.feeds} times, {life.longest_s:.1f} s apart at most",
            "errors in the log": _counts(life.complaints) or "none",
        }


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in counts.items() if count)


def _flat(holding: Holding) -> tuple[Goal, ...]:
    """A worker is a new process after each kill, so that only its memory can be compared from first to last."""
    rss = Goal.at_most(f"{holding.process}: RSS off its median", MOST_SWING, holding.rss_mb.swing)
    if holding.process != PARENT:
        return (rss,)
    (threads, threads_last, _), (first, last, _) = holding.threads, holding.descriptors
    return (
        rss,
        Goal.at_most(f"{holding.process}: threads more than at first", 0, threads_last - threads),
        Goal.at_most(f"{holding.process}: descriptors more than at first", 0, last - first),
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
    columns = ("process", "looks", "RSS MB, first / median / last", "off its median", "MB an hour",
               "threads, first / last / most", "descriptors")  # fmt: skip
    return Section("At the end of each calm", columns, rows)
