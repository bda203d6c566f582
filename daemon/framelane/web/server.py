"""Serves the HTTP application on a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING

import uvicorn

from framelane.config.address import parse_listen
from framelane.core.errors import FramelaneError
from framelane.core.worker import Worker
from framelane.web.connection import PromptConnection

if TYPE_CHECKING:
    import ssl

    from starlette.types import ASGIApp

_REMEDIES = {
    errno.EADDRINUSE: "another process listens there; stop it or choose another port in http.listen",
    errno.EACCES: "this user may not; choose a port above 1023 in http.listen",
    errno.EADDRNOTAVAIL: "this host does not have that address; set http.listen to one it has, or to 0.0.0.0",
}
_POLITE_SHARE = 0.6


class HttpServer(Worker):
    """uvicorn on the thread `http`: takes no signals, binds before its thread starts, stops within 1 s."""

    def __init__(self, app: ASGIApp, listen: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__("http")
        self._tls = tls
        self._app = app
        self._listen = listen
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self.address = parse_listen(listen)
        """Host and port; the real port once started, where 0 was asked for."""

    def start(self) -> None:
        """Bind and serve; raises FramelaneError if the address can't be had."""
        self._socket = bind(*self.address)
        self.address = (self.address[0], self._socket.getsockname()[1])
        super().start()

    def stop(self, timeout_s: float | None = 1.0) -> bool:
        """Let requests end for most of `timeout_s`, then cut them off."""
        if timeout_s is None:
            return super().stop(None)
        if super().stop(timeout_s * _POLITE_SHARE):
            return True
        if self._server is not None:
            self._server.force_exit = True
        return super().stop(timeout_s * (1 - _POLITE_SHARE))

    def run_once(self) -> None:
        """Serve until stopped; after a fault, on a new socket at the same address."""
        if self._socket is None:
            self._socket = bind(*self.address)
        config = uvicorn.Config(
            self._app,
            loop="asyncio",
            http=PromptConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=5,
            limit_concurrency=64,
        )
        config.load()
        config.ssl = self._tls  # uvicorn would read certificates only once
        self._server = uvicorn.Server(config)
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
        """Notice a stop that came before the server existed."""
        if self.stopping.is_set():
            self.wake()

    def ended(self) -> None:
        """Give the address back."""
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket; raises FramelaneError that names the address and the remedy."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        code = error.errno or 0
        reason = os.strerror(code) if code > 0 else error.strerror  # below 0: of the name look-up
        remedy = _REMEDIES.get(code, "check the address in http.listen")
        raise FramelaneError(f"can't listen on {host}:{port} ({reason}): {remedy}") from error
