"""Asks a server and waits for its answer, logging in if it wants that (RFC 2326 section 10)."""

from __future__ import annotations

import errno
import select
from typing import TYPE_CHECKING

import framelane
from framelane.sources.faults import garbage_error, number_error
from framelane.sources.rtsp.errors import MalformedError
from framelane.sources.rtsp.message import Answer, AnswerReader, build_request

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from framelane.sources.rtsp.auth import Login
    from framelane.sources.rtsp.patience import Patience

UNAUTHORIZED = 401
USER_AGENT = f"framelane/{framelane.__version__}"
_MOST_TRIES = 3
"""One without a login, one with it, one with a nonce that is not stale."""
_RECEIVE_BYTES = 64 << 10
_FINAL = 200


class Requests:
    """Numbers a connection's requests, and logs them in."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self._cseq = 0

    def build(self, method: str, uri: str, headers: Mapping[str, str]) -> bytes:
        """The next request."""
        self._cseq += 1
        login = self.login.header(method, uri)
        fields = {"User-Agent": USER_AGENT, **headers, "Authorization": login}
        return build_request(method, uri, self._cseq, fields)


class Exchange:
    """The handshake on one connection.

    Args:
        sock: connected, non-blocking; it stays the caller's.
        login: what the URL holds.
        patience: how long to wait.
    """

    def __init__(self, sock: socket.socket, login: Login, patience: Patience) -> None:
        self._sock = sock
        self._patience = patience
        self.requests = Requests(login)
        self.reader = AnswerReader()

    def ask(self, method: str, uri: str, headers: Mapping[str, str]) -> Answer:
        """The final answer to a request, whatever its status.

        Raises:
            SourceError: none comes in time, the connection ends, what comes is no RTSP, or the stream is to stop.
        """
        login = self.requests.login
        for _ in range(_MOST_TRIES):
            self._send(self.requests.build(method, uri, headers))
            answer = self._answer()
            if answer.status != UNAUTHORIZED:
                login.accept()
                break
            if not login.challenge(answer.every("www-authenticate")):
                break
        return answer

    def _send(self, request: bytes) -> None:
        view, limit_s = memoryview(request), self._patience.limit_s(self._patience.silence_s)
        while view:
            self._await(select.POLLOUT, limit_s)
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise number_error(error.errno or errno.EIO) from None

    def _answer(self) -> Answer:
        while True:
            try:
                answer = self.reader.next()
            except MalformedError:
                raise garbage_error() from None
            if answer is None:
                self._receive()
            elif answer.status >= _FINAL:
                return answer

    def _receive(self) -> None:
        self._await(select.POLLIN, self._patience.limit_s(self._patience.silence_s))
        try:
            data = self._sock.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise number_error(error.errno or errno.EIO) from None
        if not data:
            raise number_error(errno.ECONNRESET)
        self.reader.feed(data)

    def _await(self, events: int, limit_s: float) -> None:
        if not self._patience.wait(self._sock, events, limit_s):
            raise garbage_error(silent=True)
