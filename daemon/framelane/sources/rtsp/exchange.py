"""Sends requests to a server and waits for the answers, with login if required (RFC 2326 section 10)."""

from __future__ import annotations

import errno
import select
from typing import TYPE_CHECKING

import framelane
from framelane.core.errors import SourceError
from framelane.sources.network.ffmpeg_errors import garbage_error, number_error
from framelane.sources.rtsp.connection import broken_error
from framelane.sources.rtsp.errors import ConfusedError, HungUpError, MalformedError
from framelane.sources.rtsp.message import Answer, AnswerReader, build_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.sources.rtsp.auth import Login
    from framelane.sources.rtsp.connection import Connection
    from framelane.sources.rtsp.deadline import Deadline

UNAUTHORIZED = 401
USER_AGENT = f"framelane/{framelane.__version__}"
_MOST_TRIES = 3
"""One without login, one with it, and one with a fresh nonce."""
_FINAL = 200


class Requests:
    """Numbers a connection's requests and adds the login."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self._cseq = 0

    def build(self, method: str, uri: str, headers: Mapping[str, str]) -> bytes:
        """Return the next request."""
        self._cseq += 1
        login = self.login.header(method, uri)
        fields = {"User-Agent": USER_AGENT, **headers, "Authorization": login}
        return build_request(method, uri, self._cseq, fields)


class Exchange:
    """The requests and answers on one connection until the video plays.

    Args:
        connection: owned by the caller.
        login: the login from the URL.
        deadline: how long to wait.
    """

    def __init__(self, connection: Connection, login: Login, deadline: Deadline) -> None:
        self.connection = connection
        self._deadline = deadline
        self.requests = Requests(login)
        self.reader = AnswerReader()

    def ask(self, method: str, uri: str, headers: Mapping[str, str]) -> Answer:
        """Return the final answer to a request, whatever its status.

        Raises:
            ConfusedError: the answer is not RTSP.
            SourceError: nothing comes in time, the connection ends, or the stream is to stop.
            HungUpError: the server asked for a login and hung up.
        """
        login = self.requests.login
        challenged = False
        for _ in range(_MOST_TRIES):
            try:
                self._send(self.requests.build(method, uri, headers))
                answer = self._answer()
            except SourceError as error:
                if challenged and error.reason == "lost":
                    raise HungUpError from None
                raise
            if answer.status != UNAUTHORIZED:
                login.accept()
                break
            if not login.challenge(answer.every("www-authenticate")):
                break
            challenged = True
            if "close" in answer.first("connection").lower():
                raise HungUpError
        return answer

    def _send(self, request: bytes) -> None:
        limit_s = self._deadline.limit_s(self._deadline.silence_s)
        try:
            self.connection.write(request)
            while not self.connection.flush():
                self._await(select.POLLOUT, limit_s)
        except OSError as error:
            raise broken_error(error) from None

    def _answer(self) -> Answer:
        while True:
            try:
                answer = self.reader.next()
            except MalformedError:
                raise ConfusedError.of(garbage_error()) from None
            if answer is None:
                self._receive()
            elif answer.status >= _FINAL:
                return answer

    def _receive(self) -> None:
        self._await(select.POLLIN, self._deadline.limit_s(self._deadline.silence_s))
        try:
            read = self.connection.read()
        except BlockingIOError:
            return
        except OSError as error:
            raise broken_error(error) from None
        if read is None:
            raise number_error(errno.ECONNRESET)
        self.reader.feed(read[0])

    def _await(self, events: int, limit_s: float) -> None:
        if not self._deadline.wait(self.connection.socket, events, limit_s):
            raise garbage_error(silent=True)
