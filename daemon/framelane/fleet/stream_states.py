"""Merges the stream states that workers report, and marks streams of ended workers as down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from framelane.core.clock import Clock
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.status import StatusBoard

WORKER = "worker"
"""Reason of a stream that is down because its worker process has ended."""


class StreamStates:
    """Puts states on the parent's board. Each stream is updated by one supervisor's thread.

    A worker counts reconnects from its own start; here they continue over restarts. A stream that is live
    again after its worker was lost counts as reconnected too.
    """

    def __init__(self, board: StatusBoard, streams: Iterable[str], clock: Clock) -> None:
        self._board = board
        self._clock = clock
        self._states: dict[str, StreamState] = {}
        self._before: dict[str, int] = {}
        self._lost: set[str] = set()
        for stream in streams:
            self.add(stream)

    def add(self, stream: str) -> None:
        """Add a stream; its worker will report its states."""
        self._states[stream] = self._board.renew(stream).current
        self._before[stream] = 0

    def renew(self, stream: str) -> None:
        """Restart a changed stream if it had ended."""
        if self._states[stream].ended:
            state = self._states[stream]
            self._put(replace(state, state="connecting", reason="starting", text="it was changed"))

    def remove(self, stream: str) -> None:
        """Remove a stream; late reports of its worker are ignored."""
        self._forget(stream)
        self._board.remove(stream)

    def disable(self, stream: str) -> None:
        """Mark a stream as disabled; late reports of its worker are ignored."""
        self._forget(stream)
        self._board.disable(stream)

    def _forget(self, stream: str) -> None:
        self._states.pop(stream, None)
        self._before.pop(stream, None)
        self._lost.discard(stream)

    def changed(self, state: StreamState) -> None:
        """Take a stream's new state from its worker."""
        stream = state.stream
        if stream not in self._states:
            return
        if state.live and stream in self._lost:
            self._lost.discard(stream)
            self._before[stream] += 1
        self._put(replace(state, reconnects=self._before[stream] + state.reconnects))

    def frames_seen(self, at_s: Mapping[str, float]) -> None:
        """Take the monotonic times of streams' newest frames from a worker."""
        self._board.frames_seen(at_s)

    def worker_ended(self, streams: Collection[str], text: str) -> None:
        """Mark the streams of an ended worker as down, except those that were played to their end."""
        for stream in streams:
            state = self._states.get(stream)
            if state is None:
                continue
            self._before[stream] = state.reconnects
            if state.ended:
                continue
            if state.details.codec is not None:
                self._lost.add(stream)
            self._put(replace(state, state="down", reason=WORKER, text=text, since=self._clock.wall()))

    def ended(self, streams: Iterable[str]) -> set[str]:
        """Return those of the streams that have been played to their end."""
        return {stream for stream in streams if stream in self._states and self._states[stream].ended}

    def reconnects(self, stream: str) -> int:
        """Return a stream's reconnects, over all processes of its worker."""
        state = self._states.get(stream)
        return 0 if state is None else state.reconnects

    def _put(self, state: StreamState) -> None:
        before = self._states[state.stream]
        if state.state == before.state:
            state = replace(state, since=before.since)
        self._states[state.stream] = state
        self._board.adopt(state)
