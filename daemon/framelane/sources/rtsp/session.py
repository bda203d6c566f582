"""A playing session: keeps it alive, and ends it (RFC 2326 sections 10.7, 10.8, 12.37)."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.sources.rtsp.errors import MalformedError
from framelane.sources.rtsp.exchange import UNAUTHORIZED
from framelane.sources.rtsp.message import parse_answer

if TYPE_CHECKING:
    from framelane.sources.rtsp.exchange import Requests
    from framelane.sources.rtsp.sdp import VideoMedia

_DEFAULT_TIMEOUT_S = 60
_MOST_KEEP_ALIVE_S = 30.0
_LEAST_KEEP_ALIVE_S = 1.0
_TIMEOUT = re.compile(r";\s*timeout\s*=\s*(\d{1,6})", re.IGNORECASE)
_REFUSALS = range(400, 600)


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a server says of a session in its answer to SETUP.

    Attributes:
        identifier: to repeat in each request; empty where it gives none.
        timeout_s: silence after which the server ends it, in seconds.
        channels: of RTP and RTCP in the connection.
        uri: of the whole session.
        public: the methods that the server knows; empty where it does not say.
    """

    identifier: str
    timeout_s: float
    channels: tuple[int, int]
    uri: str
    public: frozenset[str]


def parse_session(header: str) -> tuple[str, float]:
    """The identifier and the timeout in seconds of a Session header (RFC 2326 section 12.37)."""
    match = _TIMEOUT.search(header)
    timeout_s = int(match[1]) if match else 0
    return header.partition(";")[0].strip(), float(timeout_s or _DEFAULT_TIMEOUT_S)


class Session:
    """A camera's session, connected and playing.

    Args:
        sock: connected and non-blocking; closed by close().
        media: what is played.
        terms: what the server said.
        requests: numbers those to come, and logs them in.
        leftover: what came before and after the answer to PLAY.
    """

    def __init__(
        self, sock: socket.socket, media: VideoMedia, terms: SessionTerms, requests: Requests, leftover: bytes
    ) -> None:
        self.socket = sock
        self.media = media
        self.channel, self.rtcp_channel = terms.channels
        self.leftover = leftover
        """Interleaved data that came with the answer to PLAY, to be parsed first; its end may be cut."""
        self.keep_alive_s = max(_LEAST_KEEP_ALIVE_S, min(_MOST_KEEP_ALIVE_S, terms.timeout_s / 2))
        """Seconds between two keep-alives."""
        self._terms = terms
        self._requests = requests
        self._method = "GET_PARAMETER" if "GET_PARAMETER" in terms.public else "OPTIONS"
        self._renewed = False
        self._closed = False

    def keep_alive(self) -> bytes:
        """The next request to send: GET_PARAMETER if the server knows it, else OPTIONS."""
        return self._request(self._method)

    def take_answer(self, answer: bytes) -> bool:
        """Take note of one whole answer that came between the frames; whether to send a keep-alive at once.

        That is so where the server wants a newer nonce: a refused request may not have kept the session alive.
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
            # Some list GET_PARAMETER, and then refuse it without a body.
            self._method = "OPTIONS"
        return False

    def close(self) -> None:
        """Tear the session down without waiting for the answer, and close the connection; may be called twice."""
        if self._closed:
            return
        self._closed = True
        with self.socket, suppress(OSError):
            self.socket.send(self._request("TEARDOWN"))
            self.socket.shutdown(socket.SHUT_WR)

    def _request(self, method: str) -> bytes:
        return self._requests.build(method, self._terms.uri, {"Session": self._terms.identifier})
