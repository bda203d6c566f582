"""A playing session: keeps it alive and ends it (RFC 2326 sections 10.7, 10.8, 12.37)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.sources.rtsp.errors import MalformedError
from framelane.sources.rtsp.exchange import UNAUTHORIZED
from framelane.sources.rtsp.message import parse_answer

if TYPE_CHECKING:
    import socket

    from framelane.sources.rtsp.connection import Connection
    from framelane.sources.rtsp.exchange import Requests
    from framelane.sources.rtsp.sdp import VideoMedia
    from framelane.sources.rtsp.transport import Transport

_DEFAULT_TIMEOUT_S = 60
_MOST_KEEP_ALIVE_S = 30.0
_LEAST_KEEP_ALIVE_S = 1.0
_TIMEOUT = re.compile(r";\s*timeout\s*=\s*(\d{1,6})", re.IGNORECASE)
_REFUSALS = range(400, 600)


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """The terms of a session from the server's answers.

    Attributes:
        identifier: sent with each request; empty if the server gave none.
        timeout_s: silence after which the server ends the session, in seconds.
        uri: of the whole session.
        public: the methods that the server lists; empty if it lists none.
    """

    identifier: str
    timeout_s: float
    uri: str
    public: frozenset[str]


def parse_session(header: str) -> tuple[str, float]:
    """Return the identifier and the timeout in seconds of a Session header (RFC 2326 section 12.37)."""
    match = _TIMEOUT.search(header)
    timeout_s = int(match[1]) if match else 0
    return header.partition(";")[0].strip(), float(timeout_s or _DEFAULT_TIMEOUT_S)


class Session:
    """A camera's session, connected and playing.

    Args:
        connection: closed by close().
        transport: delivers the packets; closed by close().
        media: the video that is playing.
        terms: what the server said about the session.
        requests: numbers further requests and adds the login.
        leftover: data that came before and after the answer to PLAY.
    """

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        media: VideoMedia,
        terms: SessionTerms,
        requests: Requests,
        leftover: bytes,
    ) -> None:
        self.connection = connection
        self.transport = transport
        self.media = media
        self.leftover = leftover
        """Data that came with the answer to PLAY, to be parsed first. The last message may be incomplete."""
        self.keep_alive_s = max(_LEAST_KEEP_ALIVE_S, min(_MOST_KEEP_ALIVE_S, terms.timeout_s / 2))
        """Seconds between two keep-alives."""
        self._terms = terms
        self._requests = requests
        self._method = "GET_PARAMETER" if "GET_PARAMETER" in terms.public else "OPTIONS"
        self._renewed = False
        self._closed = False

    @property
    def socket(self) -> socket.socket:
        """The connection's socket."""
        return self.connection.socket

    def keep_alive(self) -> bytes:
        """Return the next keep-alive: GET_PARAMETER if the server lists it, else OPTIONS."""
        return self._request(self._method)

    def take_answer(self, answer: bytes) -> bool:
        """Take a whole answer that came between the frames, and return whether to send a keep-alive at once.

        A server that wants a newer nonce refused the last one, so the session may not have been kept alive.
        """
        try:
            parsed = parse_answer(answer)
        except MalformedError:
            return False
        if parsed.status == UNAUTHORIZED:
            self._requests.login.challenge(parsed.every("www-authenticate"))
            again, self._renewed = not self._renewed, True
            return again
        self._renewed = False
        self._requests.login.accept()
        if parsed.status in _REFUSALS:
            # Some servers list GET_PARAMETER and then refuse it without a body.
            self._method = "OPTIONS"
        return False

    def close(self) -> None:
        """Send TEARDOWN without waiting for the answer, and close the connection.

        A repeated call does nothing.
        """
        if self._closed:
            return
        self._closed = True
        self.connection.close(self._request("TEARDOWN"))
        self.transport.close()

    def _request(self, method: str) -> bytes:
        return self._requests.build(method, self._terms.uri, {"Session": self._terms.identifier})
