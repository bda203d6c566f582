"""Verdicts on liveness and readiness, with reasons."""

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
    """A verdict: good if it has no reasons. Reasons name streams and hold no URL."""

    reasons: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the verdict is good."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Progress:
    """Seconds for which parts have made no progress; 0 while they do.

    Attributes:
        waiting_s: seconds for which frames have waited without any being inferred.
        looked_ago_s: seconds since housekeeping last ran, which is also the age of `waiting_s`.
        overdue_s: seconds for which the threads of sinks hang, by name.
    """

    waiting_s: float
    looked_ago_s: float = 0.0
    overdue_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokerView:
    """The broker's part in readiness: whether it is connected, and whether the backlog is full."""

    connected: bool
    full: bool


class ProgressWatch:
    """Detects a wedged pipeline: frames go in, but none come out.

    Pass it snapshots of the meters, about every second. Frames over the `fps` limit don't count as going in.
    Frames of failed batches, and frames dropped at a stop, count as coming out: the pipeline still makes
    progress.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streams: dict[int, tuple[int, int]] = {}
        self._waiting_since_s: float | None = None

    def observe(self, counts: Counts) -> float:
        """Compare with the previous counts.

        Return for how many seconds frames have waited without progress.
        """
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
        # The frames that waited may have been those of a removed stream.
        if done or before.keys() - self._streams.keys():
            self._waiting_since_s = None
        if due > 0 and not done and self._waiting_since_s is None:
            self._waiting_since_s = self._clock.monotonic()
        return 0.0 if self._waiting_since_s is None else self._clock.monotonic() - self._waiting_since_s


def liveness(threads: Mapping[str, bool], progress: Progress, limit_s: float) -> Health:
    """Return whether all `threads` (by name) run, and nothing hangs longer than `limit_s`."""
    reasons = [f"thread {name} is not running" for name, alive in threads.items() if not alive]
    limit = f"(limit {limit_s:.0f} s)"
    if progress.waiting_s > limit_s:
        reasons.append(f"frames arrive, but none was inferred for {progress.waiting_s:.0f} s {limit}")
    if progress.looked_ago_s > limit_s:
        reasons.append(f"thread housekeeping has hung for {progress.looked_ago_s:.0f} s {limit}")
    reasons += [
        f"thread {name} has hung for {overdue_s:.0f} s {limit}"
        for name, overdue_s in progress.overdue_s.items()
        if overdue_s > limit_s
    ]
    return Health(tuple(reasons))


def readiness(
    missing: Sequence[str],
    broker: BrokerView | None,
    streams: Sequence[StreamState],
    wanted: Literal["any", "all"],
) -> Health:
    """Return whether models work, the broker or the backlog takes messages, and enough streams are live.

    Args:
        missing: why models or worker processes don't work, in sentences; streams whose text says the same
            are left out.
        broker: None if none is configured.
        streams: the streams' states; finished files and disabled streams need not be live.
        wanted: whether any stream or all must be live.
    """
    reasons = list(missing)
    failing = [stream for stream in streams if stream.model_failing]
    unsaid = [stream for stream in failing if not any(reason in stream.text for reason in missing)]
    reasons += [f"stream {stream.stream}: {stream.text}" for stream in unsaid[:_NAMES_SHOWN]]
    if broker is not None and not broker.connected and broker.full:
        reasons.append("the broker is away and the backlog is full: the oldest results are dropped")
    return Health((*reasons, *_missing(streams, wanted)))


def _missing(streams: Sequence[StreamState], wanted: Literal["any", "all"]) -> list[str]:
    expected = [stream for stream in streams if not (stream.ended or stream.disabled)]
    late = [stream for stream in expected if not stream.live]
    if not late or (wanted == "any" and len(late) < len(expected)):
        return []
    reasons = [f"stream {stream.stream} is {stream.state}: {stream.reason}" for stream in late[:_NAMES_SHOWN]]
    if len(late) > _NAMES_SHOWN:
        reasons.append(f"and {len(late) - _NAMES_SHOWN} more streams")
    return reasons
