"""Whether a node of several processes is alive and ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.telemetry.health import BrokerView, Health, Progress, liveness, readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.config.schema import HttpConfig
    from framelane.fleet.ledger import Ledger
    from framelane.fleet.supervisor import Supervisor
    from framelane.sinks.sink import SinkHealth
    from framelane.telemetry.reporter import Reporter
    from framelane.telemetry.states import StreamState

_WEDGED_S = 30.0


class FleetVitals:
    """Liveness and readiness of parent and workers.

    Args:
        config: the `http` section.
        supervisors: one a worker.
        ledger: what the workers say of themselves.
        reporter: the parent's.
        states: the streams' states.
        brokers: every session with the broker, the parent's first; none where none is configured.
    """

    def __init__(
        self,
        config: HttpConfig,
        supervisors: Sequence[Supervisor],
        ledger: Ledger,
        reporter: Reporter,
        states: Callable[[], list[StreamState]],
        brokers: Callable[[], list[SinkHealth]],
    ) -> None:
        self._config = config
        self._supervisors = supervisors
        self._ledger = ledger
        self._reporter = reporter
        self._states = states
        self._brokers = brokers

    def liveness(self) -> Health:
        """Whether the daemon should go on, or be restarted. A worker that is away is no reason: it comes back."""
        threads = {each.name: each.alive for each in self._supervisors if not each.idle}
        own_session = self._brokers()[:1]
        overdue_s = {session.name: session.overdue_s for session in own_session}
        progress = Progress(self._reporter.waiting_s, self._reporter.looked_ago_s, overdue_s)
        own = liveness({"reporter": self._reporter.alive, **threads}, progress, _WEDGED_S)
        theirs = [
            f"worker {each.share.name}: {reason}"
            for each in self._supervisors
            for reason in self._ledger.ailments(each.share.number)
        ]
        return Health((*own.reasons, *theirs))

    def readiness(self) -> Health:
        """Whether it does its work now: all workers up, no full queue, streams live."""
        reasons = [
            f"worker {each.share.name} is not up" for each in self._supervisors if not (each.up or each.idle)
        ]
        full = any(health.full and not health.connected for health in self._brokers())
        broker = BrokerView(connected=False, full=True) if full else None
        return Health((*reasons, *readiness({}, broker, self._states(), self._config.ready).reasons))
