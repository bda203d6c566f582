"""A connection to the HTTP listener that must come to the point: who asks nothing does not keep a place for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

HEAD_S = 10.0


class PromptConnection(H11Protocol):
    """Is closed where a request's head is not complete within `HEAD_S`.

    uvicorn counts connections, and its own limit begins after an answer: without this one 64 silent peers, whom no
    token holds off, would take all places, the probes' too.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take data; the wait is over with a request's head, and begins with what is less than one."""
        super().data_received(data)
        if self._between_requests:
            self._await_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._between_requests and not self.transport.is_closing():
            self.transport.close()
