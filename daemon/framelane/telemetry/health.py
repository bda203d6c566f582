"""Whether the process is alive and whether it is ready, each with the reasons why not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from framelane.core.clock import Clock
    from framelane.telemetry.meters import Counts
    from framelane.telemetry.states import StreamState

_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Health:
    """A verdict: good when there is no reason against it. Reasons name streams and hold no URL."""

    reasons: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Progress:
    """For how many seconds what should move has not; 0 where it moves.

    Attributes:
        waiting_s: frames have waited for inference.
        looked_ago_s: since the reporter last looked, so the age of `waiting_s` too.
        overdue_s: the threads of sinks, by name, have not come back from what they do.
    """

    waiting_s: float
    looked_ago_s: float = 0.0
    overdue_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokerView:
    """The broker as readiness sees it: connected, or results wait, and with `full` the oldest go for new ones."""

    connected: bool
    full: bool


class ProgressWatch:
    """For how long frames that were due have gone in without any coming out: the sign of a wedged pipeline.

    Feed it snapshots of the meters, every second or so. Frames over the `fps` limit are not due, failed
    batches and frames given up at a stop count as coming out: the loop turns.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streams: dict[int, tuple[int, int]] = {}
        self._waiting_since_s: float | None = None

    def observe(self, counts: Counts) -> float:
        """Take the counts in; return for how many seconds frames have waited without progress."""
        before, self._streams = self._streams, {}
        due = done = 0
        for stream in counts.streams.values():
            now = (
                stream.decoded - stream.dropped.get("fps", 0),
                stream.inferred + stream.dropped.get("failed", 0) + stream.dropped.get("stopping", 0),
            )
            was = before.get(stream.born, (0, 0))
            self._streams[stream.born] = now
            due += now[0] - was[0]
            done += now[1] - was[1]
        if done or before.keys() - self._streams.keys():  # what waited may have been a stream's that is gone
            self._waiting_since_s = None
        if due > 0 and not done and self._waiting_since_s is None:
            self._waiting_since_s = self._clock.monotonic()
        return 0.0 if self._waiting_since_s is None else self._clock.monotonic() - self._waiting_since_s


def liveness(threads: Mapping[str, bool], progress: Progress, limit_s: float) -> Health:
    """Alive: every one of `threads` (by name) runs, and nothing waits longer than `limit_s` for progress."""
    reasons = [f"thread {name} is not running" for name, alive in threads.items() if not alive]
    limit = f"(limit {limit_s:.0f} s)"
    if progress.waiting_s > limit_s:
        reasons.append(f"frames arrive, and none was inferred for {progress.waiting_s:.0f} s {limit}")
    if progress.looked_ago_s > limit_s:
        reasons.append(f"thread reporter hangs for {progress.looked_ago_s:.0f} s {limit}")
    reasons += [
        f"thread {name} hangs for {overdue_s:.0f} s {limit}"
        for name, overdue_s in progress.overdue_s.items()
        if overdue_s > limit_s
    ]
    return Health(tuple(reasons))


def readiness(
    models: Mapping[str, bool],
    broker: BrokerView | None,
    streams: Sequence[StreamState],
    wanted: Literal["any", "all"],
) -> Health:
    """Ready: models loaded, the broker reachable or messages queueable, and any or all streams live.

    Args:
        models: whether each model, by name, is loaded.
        broker: None where none is configured.
        streams: their states; files that have ended as they should are not missed.
        wanted: how many streams must be live.
    """
    reasons = [f"model {name} is not loaded" for name, loaded in models.items() if not loaded]
    if broker is not None and not broker.connected and broker.full:
        reasons.append("the broker is away, and there is no room for more results: the oldest are dropped")
    return Health((*reasons, *_missing(streams, wanted)))


def _missing(streams: Sequence[StreamState], wanted: Literal["any", "all"]) -> list[str]:
    expected = [stream for stream in streams if not stream.ended]
    late = [stream for stream in expected if not stream.live]
    if not late or (wanted == "any" and len(late) < len(expected)):
        return []
    reasons = [f"stream {stream.stream} is {stream.state}: {stream.reason}" for stream in late[:_NAMES_SHOWN]]
    if len(late) > _NAMES_SHOWN:
        reasons.append(f"and {len(late) - _NAMES_SHOWN} streams more")
    return reasons
