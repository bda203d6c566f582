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
        self._states = {stream: board.stream(stream).current for stream in streams}
        self._before = dict.fromkeys(self._states, 0)
        self._lost: set[str] = set()

    def changed(self, state: StreamState) -> None:
        """A worker tells a stream's new state."""
        stream = state.stream
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
            state = self._states[stream]
            self._before[stream] = state.reconnects
            if state.ended:
                continue
            if state.details.codec is not None:
                self._lost.add(stream)
            self._put(replace(state, state="down", reason=WORKER, text=text, since=self._clock.wall()))

    def ended(self, streams: Iterable[str]) -> set[str]:
        """Those of the streams that have been played to their end."""
        return {stream for stream in streams if self._states[stream].ended}

    def reconnects(self, stream: str) -> int:
        """Times the stream came back, over all starts of its worker."""
        return self._states[stream].reconnects

    def _put(self, state: StreamState) -> None:
        before = self._states[state.stream]
        if state.state == before.state:
            state = replace(state, since=before.since)
        self._states[state.stream] = state
        self._board.adopt(state)
