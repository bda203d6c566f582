"""Carries out a plan of strikes, brings back what was struck, and keeps a diary of both."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from framelane.bench.chaos.holdings import workers_of
from framelane.bench.chaos.plan import BROKER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from framelane.bench.chaos.consumer import Consumer
    from framelane.bench.chaos.plan import Kind, Strike
    from framelane.bench.chaos.victim import Victim

_IN_STEP_S = 2.0
_MOST_REVIVALS = 8  # at a time: each starts a process


class Outage(NamedTuple):
    """What was done, in Unix time; it ended when the target served again, a worker's at once."""

    target: str
    kind: Kind
    began: float
    ended: float


@dataclass(slots=True)
class Diary:
    """All that was done.

    Attributes:
        outages: in the order in which they ended.
        spared: strikes left out, by why.
    """

    outages: list[Outage] = field(default_factory=list)
    spared: Counter[str] = field(default_factory=Counter)

    def count(self, targets: Sequence[str], kind: Kind) -> int:
        """How often any of these was struck so."""
        return sum(each.target in targets and each.kind == kind for each in self.outages)

    def seconds(self, targets: Sequence[str]) -> float:
        """How long these were away, all together."""
        return sum(each.ended - each.began for each in self.outages if each.target in targets)


class Storm:
    """Strikes a daemon's neighbours and workers; one thread calls `run_to`, others revive.

    Args:
        plan: the strikes, in the order of time.
        victims: cameras by stream, and the broker.
        daemon_pid: whose workers are struck.
        consumer: must be in step before the broker is killed, or what it loses would be taken for the daemon's.
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
        """Carry out what is due until so many seconds from the begin, and look around meanwhile.

        Raises:
            BenchError: a neighbour does not come back, or `look` raises it.
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
            self.diary.spared["it had not come back yet"] += 1
            return
        if strike.target == BROKER and strike.kind == "kill" and not self._consumer.in_step(_IN_STEP_S):
            self.diary.spared["broker: its subscriber was not in step"] += 1
            return
        began = time.time()
        self._away.add(strike.target)
        self._victims[strike.target].strike(strike.kind)
        self._revivals.append((now_s + strike.outage_s, strike, began))

    def _kill_worker(self, strike: Strike) -> None:
        pid = workers_of(self._daemon_pid).get(strike.target)
        if pid is None:
            self.diary.spared["worker: it was just being restarted"] += 1
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        now = time.time()
        self.diary.outages.append(Outage(strike.target, strike.kind, now, now))

    def _revive(self, strike: Strike, began: float) -> None:
        self._victims[strike.target].revive()
        self.diary.outages.append(Outage(strike.target, strike.kind, began, time.time()))
        self._away.discard(strike.target)
