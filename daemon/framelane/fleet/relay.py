"""Streams' states as the workers tell them, and what the end of a worker makes of them."""

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


class Relay:
    """Puts states on the parent's board. Of each stream one supervisor's thread speaks.

    A worker counts reconnects from its own start; here they are counted through, and a stream that is live again
    after its worker was lost has reconnected too.
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
        """A stream comes; its worker will speak of it."""
        self._states[stream] = self._board.stream(stream).current
        self._before[stream] = 0

    def renew(self, stream: str) -> None:
        """A stream was changed: if it had ended, it begins anew."""
        if self._states[stream].ended:
            state = self._states[stream]
            self._put(replace(state, state="connecting", reason="starting", text="it was changed"))

    def remove(self, stream: str) -> None:
        """A stream has left; what its worker may still say of it is passed over."""
        self._states.pop(stream, None)
        self._before.pop(stream, None)
        self._lost.discard(stream)
        self._board.remove(stream)

    def changed(self, state: StreamState) -> None:
        """A worker tells a stream's new state."""
        stream = state.stream
        if stream not in self._states:
            return
        if state.live and stream in self._lost:
            self._lost.discard(stream)
            self._before[stream] += 1
        self._put(replace(state, reconnects=self._before[stream] + state.reconnects))

    def frames_seen(self, at_s: Mapping[str, float]) -> None:
        """A worker tells when its streams' newest frames came."""
        self._board.frames_seen(at_s)

    def worker_ended(self, streams: Collection[str], text: str) -> None:
        """The worker of these streams is gone: they are down, but for those that are through."""
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
        """Those of the streams that have been played to their end."""
        return {stream for stream in streams if stream in self._states and self._states[stream].ended}

    def reconnects(self, stream: str) -> int:
        """Times the stream came back, over all starts of its worker."""
        state = self._states.get(stream)
        return 0 if state is None else state.reconnects

    def _put(self, state: StreamState) -> None:
        before = self._states[state.stream]
        if state.state == before.state:
            state = replace(state, since=before.since)
        self._states[state.stream] = state
        self._board.adopt(state)
