"""The states of streams and node, and how their changes are reported in order.

A stream goes from `connecting` to `live` at its first frame, to `stalled` when it falls silent, and back to
`live`, or to `down` until the next try. A stream that is not enabled is `disabled`, which degrades nothing.
The node is `online` when all is well, `degraded` when a stream is not live, a model fails, the broker is away,
the spool or the journal can't be used or uploads fail, and `offline` when it stops.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from framelane.core.redact import redact
from framelane.telemetry.meters import StreamMeter
from framelane.telemetry.states import MODEL_FAILING, NodeState, StreamDetails, StreamState
from framelane.telemetry.stream_status import StreamStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from framelane.core.clock import Clock
    from framelane.telemetry.states import NodeStateName, StateName

TICK_S = 0.5
"""Seconds between two calls of `StatusBoard.tick`; a stall must show within 2 x interval + 5 s."""

_NAMES_SHOWN = 5
# Least time between two reports of a stream that stays in one state.
_REPORT_S = 1.0


class StatusBoard:
    """The states of all streams and of the node. Thread-safe.

    Changes are reported in order, one at a time, outside the lock.

    Args:
        clock: the clock for `since` and for stalls.
        on_change: called with each new state of a stream, on the thread that caused it or another change.
        on_node: called with each new state of the node, likewise.
        on_removed: called with the id of a removed stream, after its last state, likewise.
        complete: whether no streams are still to be added at the start; see `completed`.
    """

    def __init__(
        self,
        clock: Clock,
        on_change: Callable[[StreamState], None],
        on_node: Callable[[NodeState], None],
        on_removed: Callable[[str], None] = lambda _stream: None,
        *,
        complete: bool = True,
    ) -> None:
        self.clock = clock
        self._on_change = on_change
        self._on_node = on_node
        self._on_removed = on_removed
        self._lock = threading.Lock()
        self._streams: dict[str, StreamStatus] = {}
        self._broker_away: str | None = None
        self._spool_trouble: str | None = None
        self._journal_trouble: str | None = None
        self._upload_trouble: str | None = None
        self._stopping: str | None = None
        self._complete = complete
        self._node = NodeState("degraded", "starting", "it starts", clock.wall())
        self._node_text_new = False
        # A str is the id of a removed stream.
        self._reports: deque[StreamState | NodeState | str] = deque()
        self._reporting = threading.Lock()

    def stream(
        self, stream: str, read_timeout_s: float = 5.0, meter: StreamMeter | None = None
    ) -> StreamStatus:
        """Return the stream's state machine, created and reported on the first call."""
        with self._lock:
            status = self._streams.get(stream)
            if status is None:
                status = self._add(StreamStatus(stream, self, read_timeout_s, meter or StreamMeter(stream)))
        self._report()
        return status

    def renew(
        self, stream: str, read_timeout_s: float = 5.0, meter: StreamMeter | None = None
    ) -> StreamStatus:
        """Return a new state machine for a new or changed stream; only the reconnects are kept."""
        with self._lock:
            status = StreamStatus(stream, self, read_timeout_s, meter or StreamMeter(stream))
            old = self._streams.get(stream)
            if old is not None:
                status.current = replace(status.current, reconnects=old.current.reconnects)
            self._add(status)
        self._report()
        return status

    def disable(self, stream: str) -> None:
        """Mark a stream as disabled; further calls to its old StreamStatus are ignored."""
        with self._lock:
            old = self._streams.get(stream)
            if old is None or not old.current.disabled:
                status = StreamStatus(stream, self, 0.0, StreamMeter(stream))
                status.move("disabled", "disabled", "`enabled` is false")
                self._add(status)
        self._report()

    def remove(self, stream: str) -> None:
        """Remove a stream; further calls to its StreamStatus are ignored."""
        with self._lock:
            if self._streams.pop(stream, None) is not None:
                self._reports.append(stream)
                self._derive_node()
        self._report()

    def completed(self) -> None:
        """Note that all streams of the start have been added."""
        with self._lock:
            self._complete = True
            self._derive_node()
        self._report()

    def broker_changed(self, *, connected: bool, text: str = "") -> None:
        """Note whether the broker is connected; not called if none is configured.

        Args:
            connected: whether the broker is connected.
            text: what is wrong, which may be set even while connected.
        """
        with self._lock:
            wrong = text or ("" if connected else "the broker does not answer")
            self._broker_away = redact(wrong) if wrong else None
            self._derive_node()
        self._report()

    def spool_changed(self, trouble: str | None) -> None:
        """Note why waiting detections are not safe on disk; None if they are."""
        with self._lock:
            self._spool_trouble = None if trouble is None else redact(trouble)
            self._derive_node()
        self._report()

    def journal_changed(self, trouble: str | None) -> None:
        """Note why events and counters are not safe on disk; None if they are."""
        with self._lock:
            self._journal_trouble = None if trouble is None else redact(trouble)
            self._derive_node()
        self._report()

    def upload_changed(self, trouble: str | None) -> None:
        """Note why snapshots and clips can't be uploaded; None if they can."""
        with self._lock:
            self._upload_trouble = None if trouble is None else redact(trouble)
            self._derive_node()
        self._report()

    def stopping(self, text: str = "the daemon stops") -> None:
        """Report the node as offline, for good."""
        with self._lock:
            self._stopping = redact(text)
            self._derive_node()
        self._report()

    def tick(self) -> None:
        """Mark silent live streams as stalled and send delayed reports; call every TICK_S."""
        now_s = self.clock.monotonic()
        with self._lock:
            for status in self._streams.values():
                why = status.stalled_by(now_s) if status.current.live else None
                if why is not None and status.move("stalled", why[0], redact(why[1])):
                    self._post(status)
                elif status.unreported:
                    self._post_unless_recent(status)
            self._derive_node()
            if self._node_text_new:
                self._post_node()
            looks = [status.on_tick for status in self._streams.values()]
        self._report()
        for look in looks:
            look()

    def change(
        self,
        status: StreamStatus,
        state: StateName,
        reason: str,
        text: str,
        *,
        only_from: StateName | None = None,
    ) -> None:
        """Move a stream to a state, or do nothing if `only_from` is another state.

        Called by its StreamStatus.
        """
        with self._lock:
            if only_from is not None and status.current.state != only_from:
                return
            before = status.current.state
            if status.move(state, reason, redact(text)) and self._knows(status):
                if state == before:
                    self._post_unless_recent(status)
                else:
                    self._post(status)
                self._derive_node()
        self._report()

    def describe(self, status: StreamStatus, details: StreamDetails) -> None:
        """Set a stream's details and report them if it is live; called by its StreamStatus."""
        with self._lock:
            if details != status.current.details:
                status.current = replace(status.snapshot(), details=details)
                if status.current.live and self._knows(status):
                    self._post_unless_recent(status)
        self._report()

    def adopt(self, state: StreamState) -> None:
        """Set a stream's state as reported by another process. Unknown streams are ignored."""
        with self._lock:
            status = self._streams.get(state.stream)
            if status is None:
                return
            known = replace(status.current, last_frame_s=state.last_frame_s)
            status.current = replace(state, text=redact(state.text))
            if known != status.current:
                self._reports.append(status.current)
                self._derive_node()
        self._report()

    def frames_seen(self, at_s: Mapping[str, float]) -> None:
        """Set the monotonic times of streams' newest frames, as reported by another process."""
        with self._lock:
            for stream, last_s in at_s.items():
                status = self._streams.get(stream)
                if status is not None:
                    status.current = replace(status.current, last_frame_s=last_s)

    def streams(self) -> list[StreamState]:
        """Return all streams' states, in the order they were added."""
        with self._lock:
            return [status.snapshot() for status in self._streams.values()]

    def node(self) -> NodeState:
        """Return the node's state."""
        with self._lock:
            return self._node

    def _add(self, status: StreamStatus) -> StreamStatus:
        self._streams[status.current.stream] = status
        self._post(status)
        self._derive_node()
        return status

    def _post(self, status: StreamStatus) -> None:
        status.unreported = False
        self._reports.append(status.current)

    def _post_unless_recent(self, status: StreamStatus) -> None:
        """Report a change within a state, at most once per second; otherwise leave it to a later tick."""
        now_s = self.clock.monotonic()
        status.unreported = now_s - status.reported_s < _REPORT_S
        if not status.unreported:
            status.reported_s = now_s
            self._post(status)

    def _knows(self, status: StreamStatus) -> bool:
        return self._streams.get(status.current.stream) is status

    def _derive_node(self) -> None:
        """Derive the node's state. A new state or reason is reported at once, a new text at the next tick.

        Otherwise 500 cameras that come up within a second would cause 500 messages about the node.
        """
        states = [status.current for status in self._streams.values()]
        state, reason, text = self._judge(states)
        old = self._node
        self._node = NodeState(
            state=state,
            reason=reason,
            text=text,
            since=old.since if state == old.state else self.clock.wall(),
            streams_live=sum(stream.live for stream in states),
            streams=len(states),
            streams_disabled=sum(stream.disabled for stream in states),
        )
        self._node_text_new |= self._node != old
        if (old.state, old.reason) != (state, reason):
            self._post_node()

    def _judge(self, states: Sequence[StreamState]) -> tuple[NodeStateName, str, str]:
        """Return the state, the most important reason, and all faults in words."""
        if self._stopping is not None:
            return "offline", "stopping", self._stopping
        faults = dict(self._faults(states))
        if faults:
            return "degraded", next(iter(faults)), "; ".join(faults.values())
        return "online", "ok", _all_live(states)

    def _faults(self, states: Sequence[StreamState]) -> Iterator[tuple[str, str]]:
        """Yield faults as reason and text, the most important first."""
        if self._broker_away is not None:
            yield "broker", self._broker_away
        if self._spool_trouble is not None:
            yield "spool", self._spool_trouble
        if self._journal_trouble is not None:
            yield "journal", self._journal_trouble
        if not self._complete:
            yield "starting", "it starts"
            return
        late = [each.stream for each in states if not (each.live or each.ended or each.disabled)]
        if late:
            more = f" and {len(late) - _NAMES_SHOWN} more" if len(late) > _NAMES_SHOWN else ""
            yield "streams", f"not live: {', '.join(late[:_NAMES_SHOWN])}{more}"
        failing = next((stream for stream in states if stream.model_failing), None)
        if failing is not None:
            yield MODEL_FAILING, f"stream {failing.stream}: {failing.text}"
        if self._upload_trouble is not None:
            yield "upload", self._upload_trouble

    def _post_node(self) -> None:
        self._node_text_new = False
        self._reports.append(self._node)

    def _report(self) -> None:
        """Deliver waiting reports in order. If another thread is delivering, leave the reports to it.

        The outer loop checks again after the release: a report added between the last check and the release
        would otherwise be lost.
        """
        while self._reports and self._reporting.acquire(blocking=False):
            try:
                while self._reports:
                    self._deliver(self._reports.popleft())
            finally:
                self._reporting.release()

    def _deliver(self, report: StreamState | NodeState | str) -> None:
        if isinstance(report, StreamState):
            self._on_change(report)
        elif isinstance(report, str):
            self._on_removed(report)
        else:
            self._on_node(report)


def _all_live(states: Sequence[StreamState]) -> str:
    disabled = sum(each.disabled for each in states)
    if disabled == len(states):
        return "no stream is enabled" if states else "there is no stream"
    return f"all streams are live but {disabled} disabled" if disabled else "all streams are live"
