"""Execute a plan of strikes, restore the targets, and record both."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lab.chaos.holdings import workers_of
from lab.chaos.plan import BROKER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from lab.chaos.consumer import Consumer
    from lab.chaos.plan import Kind, Strike
    from lab.chaos.victim import Victim

_IN_STEP_S = 2.0
# At the same time; each starts a process.
_MOST_REVIVALS = 8


class Outage(NamedTuple):
    """One outage, in Unix time; it ends when the target serves again, a worker's at once."""

    target: str
    kind: Kind
    began: float
    ended: float


@dataclass(slots=True)
class Diary:
    """The record of a run.

    Attributes:
        outages: outages in the order of their ends.
        spared: skipped strikes by reason.
    """

    outages: list[Outage] = field(default_factory=list)
    spared: Counter[str] = field(default_factory=Counter)

    def count(self, targets: Sequence[str], kind: Kind) -> int:
        """Return how often these targets had a fault of this kind."""
        return sum(each.target in targets and each.kind == kind for each in self.outages)

    def seconds(self, targets: Sequence[str]) -> float:
        """Return the total outage of these targets, in seconds."""
        return sum(each.ended - each.began for each in self.outages if each.target in targets)


class Storm:
    """Strikes cameras, broker and workers; one thread calls `run_to`, others restore.

    Args:
        plan: the strikes, in order of time.
        victims: cameras by stream, and the broker.
        daemon_pid: the parent of the workers.
        consumer: must have received everything before the broker is killed, so that the broker loses nothing.
    """

    def __init__(
        self, plan: Sequence[Strike], victims: Mapping[str, Victim], daemon_pid: int, consumer: Consumer
    ) -> None:
        self.diary = Diary()
        self._plan = list(plan)
        self._victims = victims
        self._daemon_pid = daemon_pid
        self._consumer = consumer
        self._revivals: list[tuple[float, Strike, float]] = []
        self._pending: list[Future[None]] = []
        self._away: set[str] = set()
        self._pool = ThreadPoolExecutor(_MOST_REVIVALS, "revive")
        self._began_s = time.monotonic()

    def __enter__(self) -> Storm:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def run_to(self, end_s: float, look: Callable[[], object], every_s: float) -> None:
        """Execute the due strikes until `end_s` seconds from the start, and call `look` every `every_s`.

        Raises:
            BenchError: a target is not restored, or `look` raises it.
        """
        looked_s = float("-inf")
        while (now_s := time.monotonic() - self._began_s) < end_s:
            self._do_due(now_s)
            if now_s - looked_s >= every_s:
                looked_s = now_s
                look()
            next_s = min([end_s, looked_s + every_s, *self._due_s()])
            time.sleep(max(next_s - (time.monotonic() - self._began_s), 0.0))
        for revival in self._pending:
            revival.result()

    def _due_s(self) -> list[float]:
        return [at_s for at_s, _, _ in self._revivals] + [strike.at_s for strike in self._plan[:1]]

    def _do_due(self, now_s: float) -> None:
        for revival in [each for each in self._revivals if each[0] <= now_s]:
            self._revivals.remove(revival)
            self._pending.append(self._pool.submit(self._revive, *revival[1:]))
        while self._plan and self._plan[0].at_s <= now_s:
            self._strike(self._plan.pop(0), now_s)
        for each in [pending for pending in self._pending if pending.done()]:
            self._pending.remove(each)
            each.result()

    def _strike(self, strike: Strike, now_s: float) -> None:
        if strike.target not in self._victims:
            self._kill_worker(strike)
            return
        if strike.target in self._away:
            self.diary.spared["it was not restored yet"] += 1
            return
        if strike.target == BROKER and strike.kind == "kill" and not self._consumer.in_step(_IN_STEP_S):
            self.diary.spared["broker: its subscriber had not received everything"] += 1
            return
        began = time.time()
        self._away.add(strike.target)
        self._victims[strike.target].strike(strike.kind)
        self._revivals.append((now_s + strike.outage_s, strike, began))

    def _kill_worker(self, strike: Strike) -> None:
        pid = workers_of(self._daemon_pid).get(strike.target)
        if pid is None:
            self.diary.spared["worker: it was being restarted"] += 1
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        now = time.time()
        self.diary.outages.append(Outage(strike.target, strike.kind, now, now))

    def _revive(self, strike: Strike, began: float) -> None:
        self._victims[strike.target].revive()
        self.diary.outages.append(Outage(strike.target, strike.kind, began, time.time()))
        self._away.discard(strike.target)
