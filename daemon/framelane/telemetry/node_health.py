"""Liveness and readiness of a node, for probes, metrics and the watchdog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from framelane.telemetry.health import BrokerView, Health, Progress, liveness, readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from framelane.telemetry.housekeeping import Housekeeping
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.states import StreamState

_WEDGED_S = 30.0


class JudgedPipeline(Protocol):
    """The parts of a pipeline that verdicts depend on."""

    @property
    def waiting_s(self) -> float:
        """Seconds for which frames have waited without any being inferred."""
        ...

    @property
    def threads(self) -> Mapping[str, bool]:
        """Whether each required thread runs, by name."""
        ...

    @property
    def liveness_reasons(self) -> Sequence[str]:
        """Further reasons why it is not alive."""
        ...

    @property
    def missing(self) -> Sequence[str]:
        """Reasons why it is not ready."""
        ...


class NodeHealth:
    """Judges one node, or one worker process.

    Args:
        wanted: whether any stream or all must be live for readiness.
        pipeline: the pipeline.
        housekeeping: the housekeeping thread.
        states: returns the streams' states.
        brokers: returns all sessions with the broker, this process's first; none if no broker is configured.
    """

    def __init__(
        self,
        wanted: Literal["any", "all"],
        pipeline: JudgedPipeline,
        housekeeping: Housekeeping,
        states: Callable[[], list[StreamState]],
        brokers: Callable[[], Sequence[SinkHealth]],
    ) -> None:
        self._wanted = wanted
        self._pipeline = pipeline
        self._housekeeping = housekeeping
        self._states = states
        self._brokers = brokers

    def liveness(self) -> Health:
        """Return whether the process makes progress; if not, it should be restarted."""
        threads = {"housekeeping": self._housekeeping.alive, **self._pipeline.threads}
        overdue_s = {session.name: session.overdue_s for session in self._brokers()[:1]}
        progress = Progress(self._pipeline.waiting_s, self._housekeeping.looked_ago_s, overdue_s)
        own = liveness(threads, progress, _WEDGED_S)
        return Health((*own.reasons, *self._pipeline.liveness_reasons))

    def readiness(self) -> Health:
        """Return whether the node does its work now."""
        full = any(session.full and not session.connected for session in self._brokers())
        broker = BrokerView(connected=False, full=True) if full else None
        return readiness(self._pipeline.missing, broker, self._states(), self._wanted)
