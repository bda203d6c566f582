"""Limits the HTTP listener's connections: their number, and the time until a request head is complete."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from h11 import Request
    from uvicorn.config import Config
    from uvicorn.server import ServerState

HEAD_S = 10.0
MOST_CONNECTIONS = 256
# From linux/tcp.h; Python has it from 3.13 on.
_TCP_NOTSENT_LOWAT = 25
_UNSENT_BYTES = 128 << 10


class ConnectionSlots:
    """Limits the connections of a listener; a connection beyond the limit closes the one idle the longest.

    So peers that connect without sending a request, which needs no token, can't lock out probes. Use it only
    on the event loop's thread.

    Args:
        most: most connections at once.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = MOST_CONNECTIONS if most is None else most
        self._taken: set[TimedConnection] = set()
        # In order of idleness, the longest idle first.
        self._idle: dict[TimedConnection, None] = {}

    def take(self, connection: TimedConnection) -> None:
        """Take a slot for a connection, idle at first; close the longest idle one if no slot is left."""
        self._taken.add(connection)
        self._idle[connection] = None
        if len(self._taken) > self._most:
            longest = next(iter(self._idle))
            self.leave(longest)
            longest.abort()

    def idle(self, connection: TimedConnection) -> None:
        """Mark a connection as waiting for its peer."""
        if connection in self._taken:
            self._idle.setdefault(connection)

    def busy(self, connection: TimedConnection) -> None:
        """Mark a connection as answering a request, so that it keeps its slot."""
        self._idle.pop(connection, None)

    def leave(self, connection: TimedConnection) -> None:
        """Release a connection's slot; does nothing if it has none."""
        self._taken.discard(connection)
        self._idle.pop(connection, None)


class TimedConnection(H11Protocol):
    """A connection that closes if no complete request head arrives within `HEAD_S`, or if its slot is needed.

    uvicorn itself doesn't limit the time before the first request.
    """

    def __init__(
        self, slots: ConnectionSlots, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._slots = slots
        self._head_timer: asyncio.TimerHandle | None = None
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(transport)
        self._slots.take(self)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Process data: a complete head ends the wait, an incomplete one starts it."""
        super().data_received(data)
        if self._upgraded:
            return
        if self._between_requests:
            self._slots.idle(self)
            self._await_head()
        else:
            self._slots.busy(self)
            self._stop_waiting()

    def handle_websocket_upgrade(self, event: Request) -> None:
        """Hand the connection to the WebSocket's protocol; the route limits how many there are.

        Let the kernel hold little unsent data, because a slow page would get it too late.
        """
        self._upgraded = True
        self._stop_waiting()
        self._slots.leave(self)
        handle = self.transport.get_extra_info("socket")
        handle.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Become idle, unless the next request has already arrived."""
        super().on_response_complete()
        if self._between_requests:
            self._slots.idle(self)

    def pause_writing(self) -> None:
        """Become idle: a peer that doesn't read its answer must not keep others out."""
        super().pause_writing()
        self._slots.idle(self)

    def resume_writing(self) -> None:
        """Become busy again: the peer continues to read."""
        super().resume_writing()
        if not self._between_requests:
            self._slots.busy(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting and release the slot."""
        self._stop_waiting()
        self._slots.leave(self)
        super().connection_lost(exc)

    def abort(self) -> None:
        """Close at once."""
        if not self.transport.is_closing():
            self.transport.abort()

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
