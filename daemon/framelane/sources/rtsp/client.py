"""Opens a camera's session: connects, logs in, finds the video and starts it (RFC 2326)."""

from __future__ import annotations

import ssl
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from framelane.core.errors import SourceError
from framelane.sources.network.ffmpeg_errors import garbage_error, login_error, no_video_error, status_error
from framelane.sources.rtsp.address import Address, parse_address
from framelane.sources.rtsp.auth import Login
from framelane.sources.rtsp.connection import Connection
from framelane.sources.rtsp.deadline import Deadline
from framelane.sources.rtsp.dial import dial
from framelane.sources.rtsp.errors import ConfusedError, HungUpError, UnsupportedError
from framelane.sources.rtsp.exchange import UNAUTHORIZED, Exchange
from framelane.sources.rtsp.sdp import VideoMedia, control_urls, find_video
from framelane.sources.rtsp.session import Session, SessionTerms, parse_session
from framelane.sources.rtsp.tls import secure
from framelane.sources.rtsp.transport import Interleaving
from framelane.sources.rtsp.udp import UdpTransport

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.sources.rtsp.message import Answer
    from framelane.sources.rtsp.transport import Transport

__all__ = ["Approach", "Session", "UnsupportedError", "VideoMedia", "open_session"]

_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REFUSALS = 400
_MOST_REDIRECTS = 5
_CONFUSED = frozenset({400, 405, 406, 411, 412, 413, 414, 415, 451, 454, 455, 456, 457, 458, 459, 460, 462})
_CONFUSED |= {500, 501, 505, 551}
"""Statuses of a server that did not understand the request (RFC 2326 section 7.1.1).

They say nothing about login, path, load or transport.
"""
_UNKNOWN_LOGIN = "Framelane does not know; set the camera to Basic or Digest"
_MOST_CONNECTIONS = 3
"""Connections per address: some cameras hang up each time they ask for a login."""
_SCHEMES = ("rtsp://", "rtsps://")
_DOWNGRADE = (
    "the server redirects from rtsps:// to rtsp://, where the login would be sent in the clear; "
    "write the new address in `url`"
)


@dataclass(frozen=True, slots=True)
class Approach:
    """How to request a camera's video.

    Attributes:
        transport: for `rtsp://`; with `rtsps://` the packets always come within the TLS connection.
        tls: returns the TLS context for `rtsps://`; raises SourceError.
        video: which of the session's videos to play, from 0; None for the most suitable.
    """

    transport: Literal["tcp", "udp"] = "tcp"
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context
    video: int | None = None


_BY_TCP = Approach()


class _RedirectedError(Exception):
    """The server redirects the client to another URL."""

    def __init__(self, address: Address) -> None:
        self.address = address
        super().__init__("redirected")


def open_session(
    url: str,
    open_timeout_s: float,
    read_timeout_s: float,
    stopping: threading.Event,
    clock: Clock,
    approach: Approach = _BY_TCP,
) -> Session:
    """Connect to a camera and start its video.

    Args:
        url: `rtsp://` or `rtsps://`, with the login if there is one.
        open_timeout_s: limit for connecting and all requests together, in seconds.
        read_timeout_s: how long the server may be silent, in seconds.
        stopping: once set, this function ends within 0.1 s.
        clock: the source of time.
        approach: transport, TLS, and which video.

    Raises:
        UnsupportedError: only FFmpeg can read this stream.
        ConfusedError: the server's answers make no sense.
        SourceError: the camera can't be opened; reason "closed" if it was stopped.
    """
    deadline = Deadline(clock, stopping, clock.monotonic() + open_timeout_s, read_timeout_s)
    address = parse_address(url)
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            return _open_at(address, deadline, approach)
        except _RedirectedError as redirected:
            address = redirected.address
    raise SourceError("rejected", f"the server redirects more than {_MOST_REDIRECTS} times; check the URL")


def _open_at(address: Address, deadline: Deadline, approach: Approach) -> Session:
    login = Login(address.credentials)
    for _ in range(_MOST_CONNECTIONS):
        with ExitStack() as guard:
            connection = _connect(address, deadline, approach)
            guard.callback(connection.close)
            try:
                session = _shake_hands(Exchange(connection, login, deadline), connection, address, approach)
            except HungUpError:
                login.moved()
                continue
            guard.pop_all()
        return session
    raise status_error(UNAUTHORIZED)


def _connect(address: Address, deadline: Deadline, approach: Approach) -> Connection:
    context = approach.tls() if address.tls else None
    sock = dial(address.host, address.port, deadline)
    with ExitStack() as guard:
        guard.callback(sock.close)
        layer = None if context is None else secure(sock, context, address.host, deadline)
        guard.pop_all()
    return Connection(sock, layer)


def _shake_hands(exchange: Exchange, connection: Connection, address: Address, approach: Approach) -> Session:
    public = _public(exchange, address)
    described = exchange.ask("DESCRIBE", address.uri, {"Accept": "application/sdp"})
    if described.status in _REDIRECTS and described.first("location"):
        raise _RedirectedError(_redirect_target(described, address))
    _check(described, exchange)
    if not described.body.strip():
        raise ConfusedError.of(garbage_error())
    description = find_video(described.body, approach.video)
    if description is None:
        raise no_video_error(audio=b"m=audio" in described.body)
    by_udp = approach.transport == "udp" and not address.tls
    with ExitStack() as guard:
        transport: Transport = UdpTransport(connection.socket) if by_udp else Interleaving(connection)
        guard.callback(transport.close)
        terms = _play(exchange, transport, control_urls(description, _base(described, address)), public)
        guard.pop_all()
    rest = exchange.reader.rest()
    return Session(connection, transport, description.video, terms, exchange.requests, rest)


def _public(exchange: Exchange, address: Address) -> frozenset[str]:
    """Return the methods that the server lists.

    Many servers answer OPTIONS without a login, some of them badly.
    """
    answer = exchange.ask("OPTIONS", address.uri, {})
    if answer.status == UNAUTHORIZED and address.credentials is not None:
        # Many cameras lock a login after a few wrong attempts, so do not spend another one.
        raise _refusal(answer, exchange)
    names = ",".join(answer.every("public")).split(",")
    return frozenset(name.strip().upper() for name in names)


def _redirect_target(answer: Answer, address: Address) -> Address:
    """Return the target of a redirect. It keeps our login, as with FFmpeg, unless it has its own."""
    found = parse_address(answer.first("location"))
    credentials = found.credentials or address.credentials
    if address.tls and not found.tls and credentials is not None:
        raise SourceError("rejected", _DOWNGRADE)
    return replace(found, credentials=credentials)


def _base(described: Answer, address: Address) -> str:
    candidates = (described.first("content-base"), described.first("content-location"))
    return next((base for base in candidates if base.lower().startswith(_SCHEMES)), address.uri)


def _play(
    exchange: Exchange, transport: Transport, uris: tuple[str, str], public: frozenset[str]
) -> SessionTerms:
    """Send SETUP and PLAY; `uris` are those of the whole session and of the video."""
    uri, media_uri = uris
    answer = exchange.ask("SETUP", media_uri, {"Transport": transport.offer})
    _check(answer, exchange)
    identifier, timeout_s = parse_session(answer.first("session"))
    playing = False
    try:
        transport.agree(answer.first("transport"))
        transport.open_firewalls()
        exchange.reader.keeps_frames = True
        _check(exchange.ask("PLAY", uri, {"Session": identifier, "Range": "npt=0.000-"}), exchange)
        playing = True
    finally:
        if not playing:
            with suppress(OSError):
                exchange.connection.write(exchange.requests.build("TEARDOWN", uri, {"Session": identifier}))
    return SessionTerms(identifier, timeout_s, uri, public)


def _check(answer: Answer, exchange: Exchange) -> None:
    if answer.status == _OK:
        return
    fault = _refusal(answer, exchange)
    confused = answer.status in _CONFUSED or answer.status < _REFUSALS
    raise ConfusedError.of(fault) if confused else fault


def _refusal(answer: Answer, exchange: Exchange) -> SourceError:
    if answer.status == UNAUTHORIZED:
        login = exchange.requests.login
        return login_error(given=login.given, unknown=login.unknown, remedy=_UNKNOWN_LOGIN)
    return status_error(answer.status, answer.words)
