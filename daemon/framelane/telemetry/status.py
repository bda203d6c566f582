"""Who changes the states of streams and node, when, and how the rest of the daemon learns of it in order.

A stream goes `connecting` > `live` at its first frame > `stalled` when it falls silent > `live` again, or
`down` when it is given up until the next try. The node is `online` when all is well, `degraded` when a stream
is not live, the broker is away or the spool can't be used, `offline` when it stops.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from framelane.core.redact import redact
from framelane.telemetry.states import ENDED, NodeState, StreamDetails, StreamState
from framelane.telemetry.stream_status import NullReconnectMeter, StreamStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from framelane.core.clock import Clock
    from framelane.telemetry.states import NodeStateName, StateName
    from framelane.telemetry.stream_status import ReconnectMeter

__all__ = ["ENDED", "TICK_S", "NodeState", "StatusBoard", "StreamDetails", "StreamState", "StreamStatus"]

TICK_S = 0.5
"""Seconds between two calls of `StatusBoard.tick`; a stall must show within 2 x interval + 5 s."""

_NAMES_SHOWN = 5


class StatusBoard:
    """All states of the node. Thread-safe; changes are reported in order, one at a time, outside the lock.

    Args:
        clock: for `since` and for silence.
        on_change: called with each new state of a stream, on the thread that caused it or one that caused
            another.
        on_node: called with each new state of the node, likewise.
        on_removed: called with the id of a stream that was removed, after its last state, likewise.
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
        self._stopping: str | None = None
        self._complete = complete
        self._node = NodeState("degraded", "starting", "it starts", clock.wall())
        self._node_text_new = False
        self._reports: deque[StreamState | NodeState | str] = deque()  # a text: the stream that was removed
        self._reporting = threading.Lock()

    def stream(
        self, stream: str, read_timeout_s: float = 5.0, meter: ReconnectMeter | None = None
    ) -> StreamStatus:
        """The stream's state machine, made (and reported) at the first call."""
        with self._lock:
            status = self._streams.get(stream)
            if status is None:
                status = self._add(StreamStatus(stream, self, read_timeout_s, meter or NullReconnectMeter()))
        self._report()
        return status

    def renew(self, stream: str, read_timeout_s: float, meter: ReconnectMeter) -> StreamStatus:
        """A changed stream's new state machine, which begins anew but for its count of reconnects."""
        with self._lock:
            status = StreamStatus(stream, self, read_timeout_s, meter)
            old = self._streams.get(stream)
            if old is not None:
                status.current = replace(status.current, reconnects=old.current.reconnects)
            self._add(status)
        self._report()
        return status

    def remove(self, stream: str) -> None:
        """Forget a stream; its StreamStatus may still be driven, and nobody hears of it."""
        with self._lock:
            if self._streams.pop(stream, None) is not None:
                self._reports.append(stream)
                self._derive_node()
        self._report()

    def completed(self) -> None:
        """All streams of the start are on the board."""
        with self._lock:
            self._complete = True
            self._derive_node()
        self._report()

    def broker_changed(self, *, connected: bool, text: str = "") -> None:
        """The broker came or went; `text` says what is wrong, which may be something while it is connected too.

        Where none is configured nobody calls this.
        """
        with self._lock:
            wrong = text or ("" if connected else "the broker does not answer")
            self._broker_away = redact(wrong) if wrong else None
            self._derive_node()
        self._report()

    def spool_changed(self, trouble: str | None) -> None:
        """Detections that wait for the broker are not safe, and this is why, or they are (None)."""
        with self._lock:
            self._spool_trouble = None if trouble is None else redact(trouble)
            self._derive_node()
        self._report()

    def stopping(self, text: str = "the daemon stops") -> None:
        """The node goes offline, for good."""
        with self._lock:
            self._stopping = redact(text)
            self._derive_node()
        self._report()

    def tick(self) -> None:
        """Mark live streams that fell silent as stalled; call every TICK_S."""
        now_s = self.clock.monotonic()
        with self._lock:
            for status in self._streams.values():
                if status.current.live and status.overdue_s(now_s) > 0:
                    status.stall()
                    self._reports.append(status.current)
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
        """Move one stream to a state, where it is in `only_from` if that is given; its StreamStatus calls this."""
        with self._lock:
            if only_from is not None and status.current.state != only_from:
                return
            if status.move(state, reason, redact(text)) and self._knows(status):
                self._reports.append(status.current)
                self._derive_node()
        self._report()

    def describe(self, status: StreamStatus, details: StreamDetails) -> None:
        """Take new details of one stream, and report them if it is live; its StreamStatus calls this."""
        with self._lock:
            if details != status.current.details:
                status.current = replace(status.snapshot(), details=details)
                if status.current.live and self._knows(status):
                    self._reports.append(status.current)
        self._report()

    def adopt(self, state: StreamState) -> None:
        """Take a stream's state as another process tells it; of one that is not, or no longer, here, nothing."""
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
        """Take the times (monotonic) of streams' newest frames, as another process tells them."""
        with self._lock:
            for stream, last_s in at_s.items():
                status = self._streams.get(stream)
                if status is not None:
                    status.current = replace(status.current, last_frame_s=last_s)

    def streams(self) -> list[StreamState]:
        """All streams' states, in the order they were added."""
        with self._lock:
            return [status.snapshot() for status in self._streams.values()]

    def node(self) -> NodeState:
        """The node's state."""
        with self._lock:
            return self._node

    def _add(self, status: StreamStatus) -> StreamStatus:
        self._streams[status.current.stream] = status
        self._reports.append(status.current)
        self._derive_node()
        return status

    def _knows(self, status: StreamStatus) -> bool:
        return self._streams.get(status.current.stream) is status

    def _derive_node(self) -> None:
        """Work out the node's state; a new state or reason is reported at once, a new text at the next tick.

        Otherwise 500 cameras that come up within a second would each send a message about the node.
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
        )
        self._node_text_new |= self._node != old
        if (old.state, old.reason) != (state, reason):
            self._post_node()

    def _judge(self, states: Iterable[StreamState]) -> tuple[NodeStateName, str, str]:
        if self._stopping is not None:
            return "offline", "stopping", self._stopping
        if self._broker_away is not None:
            more = "" if self._spool_trouble is None else f"; {self._spool_trouble}"
            return "degraded", "broker", f"{self._broker_away}{more}"
        if self._spool_trouble is not None:
            return "degraded", "spool", self._spool_trouble
        if not self._complete:
            return "degraded", "starting", "it starts"
        late = [stream.stream for stream in states if not stream.live and not stream.ended]
        if late:
            more = f" and {len(late) - _NAMES_SHOWN} more" if len(late) > _NAMES_SHOWN else ""
            return "degraded", "streams", f"not live: {', '.join(late[:_NAMES_SHOWN])}{more}"
        return "online", "ok", "all streams are live"

    def _post_node(self) -> None:
        self._node_text_new = False
        self._reports.append(self._node)

    def _report(self) -> None:
        """Deliver what waits, in order. A thread that finds another at it leaves its reports to that one.

        The loop looks again after letting go: a report that came between the last look and the release would
        be lost.
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
