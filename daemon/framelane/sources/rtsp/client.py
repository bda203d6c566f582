"""Opens a camera's session: connects, logs in, finds the video and plays it over TCP (RFC 2326)."""

from __future__ import annotations

import errno
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.sources.faults import garbage_error, no_video_error, number_error, status_error
from framelane.sources.rtsp.address import Address, parse_address
from framelane.sources.rtsp.auth import Login
from framelane.sources.rtsp.dialing import dial
from framelane.sources.rtsp.errors import UnsupportedError
from framelane.sources.rtsp.exchange import UNAUTHORIZED, Exchange
from framelane.sources.rtsp.patience import Patience
from framelane.sources.rtsp.sdp import Description, VideoMedia, control_urls, find_video
from framelane.sources.rtsp.session import Session, SessionTerms, parse_session

if TYPE_CHECKING:
    import socket
    import threading

    from framelane.core.clock import Clock
    from framelane.sources.rtsp.message import Answer

__all__ = ["Session", "UnsupportedError", "VideoMedia", "open_session"]

_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_INTERLEAVED = re.compile(r"interleaved\s*=\s*(\d{1,3})(?:\s*-\s*(\d{1,3}))?", re.IGNORECASE)
_MOST_CHANNEL = 255
_TRANSPORT = "RTP/AVP/TCP;unicast;interleaved=0-1"


class _RedirectedError(Exception):
    """The server says that the stream is elsewhere."""

    def __init__(self, address: Address) -> None:
        self.address = address
        super().__init__("redirected")


def open_session(
    url: str, open_timeout_s: float, read_timeout_s: float, stopping: threading.Event, clock: Clock
) -> Session:
    """Connect to a camera and let it play.

    Args:
        url: `rtsp://`, with the login in it if there is one.
        open_timeout_s: how long all of it may take, in seconds.
        read_timeout_s: how long the server may be silent, in seconds.
        stopping: once set, this ends within a tenth of a second.
        clock: where the time is read.

    Raises:
        UnsupportedError: FFmpeg has to read this one.
        SourceError: the camera can't be opened; reason "closed" where it was stopped.
    """
    patience = Patience(clock, stopping, clock.monotonic() + open_timeout_s, read_timeout_s)
    address = parse_address(url)
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            return _open_at(address, patience)
        except _RedirectedError as redirected:
            address = redirected.address
    raise SourceError("rejected", f"the server redirects more than {_MOST_REDIRECTS} times; check the URL")


def _open_at(address: Address, patience: Patience) -> Session:
    sock = dial(address.host, address.port, patience)
    opened = False
    try:
        session = _shake_hands(sock, address, patience)
        opened = True
    finally:
        if not opened:
            sock.close()
    return session


def _shake_hands(sock: socket.socket, address: Address, patience: Patience) -> Session:
    exchange = Exchange(sock, Login(address.credentials), patience)
    public = _public(exchange, address)
    described = exchange.ask("DESCRIBE", address.uri, {"Accept": "application/sdp"})
    if described.status in _REDIRECTS and described.first("location"):
        raise _RedirectedError(_elsewhere(described, address))
    _check(described)
    if not described.body.strip():
        raise garbage_error()
    description = find_video(described.body)
    if description is None:
        raise no_video_error(audio=b"m=audio" in described.body)
    return _play(exchange, sock, description, _base(described, address), public)


def _public(exchange: Exchange, address: Address) -> frozenset[str]:
    """The methods that the server says it knows; many answer this without a login, and some not at all well."""
    answer = exchange.ask("OPTIONS", address.uri, {})
    if answer.status == UNAUTHORIZED and address.credentials is not None:
        # Another try would be one more towards the lock that many cameras put on a login.
        raise status_error(UNAUTHORIZED)
    names = ",".join(answer.every("public")).split(",")
    return frozenset(name.strip().upper() for name in names)


def _elsewhere(answer: Answer, address: Address) -> Address:
    """Where a redirect leads; the login goes along, as it does with FFmpeg, unless it brings its own."""
    found = parse_address(answer.first("location"))
    return Address(found.host, found.port, found.uri, found.credentials or address.credentials)


def _base(described: Answer, address: Address) -> str:
    candidates = (described.first("content-base"), described.first("content-location"))
    return next((base for base in candidates if base.lower().startswith("rtsp://")), address.uri)


def _play(
    exchange: Exchange, sock: socket.socket, description: Description, base: str, public: frozenset[str]
) -> Session:
    uri, media_uri = control_urls(description, base)
    answer = exchange.ask("SETUP", media_uri, {"Transport": _TRANSPORT})
    _check(answer)
    identifier, timeout_s = parse_session(answer.first("session"))
    playing = False
    try:
        channels = _channels(answer.first("transport"))
        exchange.reader.keeps_frames = True
        _check(exchange.ask("PLAY", uri, {"Session": identifier, "Range": "npt=0.000-"}))
        playing = True
    finally:
        if not playing:
            with suppress(OSError):
                sock.send(exchange.requests.build("TEARDOWN", uri, {"Session": identifier}))
    terms = SessionTerms(identifier, timeout_s, channels, uri, public)
    return Session(sock, description.video, terms, exchange.requests, exchange.reader.rest())


def _channels(transport: str) -> tuple[int, int]:
    """The channels of RTP and RTCP that the server names, else those that were asked for."""
    if transport and "/TCP" not in transport.upper():
        raise number_error(errno.EPROTONOSUPPORT)
    match = _INTERLEAVED.search(transport)
    if match is None:
        return 0, 1
    channel = int(match[1])
    rtcp_channel = int(match[2]) if match[2] else channel + 1
    if max(channel, rtcp_channel) > _MOST_CHANNEL:
        raise garbage_error()
    return channel, rtcp_channel


def _check(answer: Answer) -> None:
    if answer.status != _OK:
        raise status_error(answer.status)
