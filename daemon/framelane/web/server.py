"""Serves the HTTP application on its own thread."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING

import structlog
import uvicorn

from framelane.config.address import parse_listen
from framelane.core.errors import FramelaneError
from framelane.core.worker import Worker
from framelane.web import connection
from framelane.web.connection import ConnectionSlots, TimedConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from starlette.types import ASGIApp

log = structlog.get_logger(__name__)

_REMEDIES = {
    errno.EADDRINUSE: "another process listens there; stop it or choose another port in http.listen",
    errno.EACCES: "this user may not use that port; choose one above 1023 in http.listen",
    errno.EADDRNOTAVAIL: "this host does not have that address; set http.listen to one it has, or to 0.0.0.0",
}
# Part of the stop's timeout in which requests may finish before they are cut off.
_GRACEFUL_PART = 0.6
_MOST_COMMAND_BYTES = 4096
"""The longest WebSocket message that a page may send."""
_KEEP_ALIVE_S = 5
"""Longer than gateways and Prometheus keep a connection idle, so that no request meets a closing one."""


class HttpServer(Worker):
    """uvicorn on the thread `http`: handles no signals, binds before its thread starts, stops within 1 s."""

    def __init__(self, app: ASGIApp, listen: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__("http")
        self._tls = tls
        self._app = app
        self._listen = listen
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self.address = parse_listen(listen)
        """Host and port; the actual port once started if port 0 was configured."""

    def start(self) -> None:
        """Bind and serve; raise FramelaneError if the address can't be bound."""
        self._socket = bind(*self.address)
        self.address = (self.address[0], self._socket.getsockname()[1])
        log.info("listening", url=self.url)
        super().start()

    @property
    def url(self) -> str:
        """The server's URL, valid once started."""
        host, port = self.address
        host = f"[{host}]" if ":" in host else host
        return f"{'http' if self._tls is None else 'https'}://{host}:{port}"

    def stop(self, timeout_s: float | None = 1.0) -> bool:
        """Let requests finish for most of `timeout_s`, then cut them off."""
        if timeout_s is None:
            return super().stop(None)
        if super().stop(timeout_s * _GRACEFUL_PART):
            return True
        if self._server is not None:
            self._server.force_exit = True
        return super().stop(timeout_s * (1 - _GRACEFUL_PART))

    def run_once(self) -> None:
        """Serve until stopped; after a fault, serve on a new socket at the same address."""
        if self._socket is None:
            self._socket = bind(*self.address)
        config = uvicorn.Config(
            self._app,
            loop="asyncio",
            # _Server replaces it by TimedConnection.
            http="h11",
            ws="websockets-sansio",
            ws_max_size=_MOST_COMMAND_BYTES,
            # Video does not get smaller by it.
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        config.load()
        # Set here, because uvicorn would read certificates only once.
        config.ssl = self._tls
        self._server = _Server(config)
        self.wake_if_stopping()
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            self._close()

    def wake(self) -> None:
        """End the serving loop."""
        if self._server is not None:
            self._server.should_exit = True

    def wake_if_stopping(self) -> None:
        """End the serving loop if the stop came before the server existed."""
        if self.stopping.is_set():
            self.wake()

    def ended(self) -> None:
        """Close the socket."""
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _Server(uvicorn.Server):
    """uvicorn with a limit on connections and on the duration of TLS handshakes."""

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Listen on the sockets."""
        await super().startup(sockets=[])
        loop, slots, config = asyncio.get_running_loop(), ConnectionSlots(), self.config

        def connect() -> TimedConnection:
            return TimedConnection(slots, config, self.server_state, self.lifespan.state)

        handshake_s = None if config.ssl is None else connection.HEAD_S
        for each in sockets or ():
            server = await loop.create_server(
                connect, sock=each, ssl=config.ssl, backlog=config.backlog, ssl_handshake_timeout=handshake_s
            )
            self.servers.append(server)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests finish, then close connections whose peers don't read what is left for them."""
        await super().shutdown(sockets)
        for left in list(self.server_state.connections):
            left.transport.abort()
        # Sockets are closed in the loop's next turn.
        await asyncio.sleep(0)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket; raise FramelaneError that names the address and the remedy."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        plain = socket.create_server(address[:2], family=family)
        # asyncio disables Nagle's algorithm only on sockets that name their protocol, which accepted sockets
        # inherit. With it, each answer on a keep-alive connection waits 40 ms for the peer's delayed
        # acknowledgement.
        return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=plain.detach())
    except OSError as error:
        code = error.errno or 0
        # Codes below 0 come from the name look-up.
        reason = os.strerror(code) if code > 0 else error.strerror
        remedy = _REMEDIES.get(code, "check the address in http.listen")
        raise FramelaneError(f"can't listen on {host}:{port} ({reason}): {remedy}") from error
