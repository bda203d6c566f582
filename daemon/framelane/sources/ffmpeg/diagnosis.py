"""Asks the server itself for what FFmpeg does not tell about a failed attempt to open a stream.

FFmpeg does not pass on the numbers of most refusals, nor the kind of login that it lacks, and uses the same
error for a host whose name is unknown and one without a route.
"""

from __future__ import annotations

import ssl
import threading
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit

from framelane.config.address import credentials
from framelane.core.errors import SourceError
from framelane.sources.ffmpeg.opening import plays_audio_alone
from framelane.sources.network.ffmpeg_errors import (
    login_error,
    no_video_error,
    status_error,
    unresolved_error,
)
from framelane.sources.network.host_names import resolves
from framelane.sources.rtsp.address import parse_address
from framelane.sources.rtsp.auth import Login, parse_challenges
from framelane.sources.rtsp.connection import Connection
from framelane.sources.rtsp.deadline import Deadline
from framelane.sources.rtsp.dial import dial
from framelane.sources.rtsp.errors import HungUpError, UnsupportedError
from framelane.sources.rtsp.exchange import UNAUTHORIZED, Exchange
from framelane.sources.rtsp.sdp import control_urls, find_video
from framelane.sources.rtsp.transport import Interleaving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.sections.stream import StreamOptions
    from framelane.core.clock import Clock
    from framelane.sources.interfaces.source import Kind
    from framelane.sources.rtsp.message import Answer

_MOST_S = 3.0
_REFUSED = range(400, 600)
_BY_FFMPEG = frozenset({"BASIC", "DIGEST MD5"})
_LACKS = "FFmpeg does not know; leave `reader` at auto, with `transport: tcp`, or set the camera to Basic or Digest MD5"
_TRANSPORTS = {
    "tcp": Interleaving.offer,
    # No packet is ever sent to these ports, because nothing is played.
    "udp": "RTP/AVP;unicast;client_port=50000-50001",
}


class _Refusal(NamedTuple):
    """A server's answer: the status, its text, and the kinds of login that the server asks for."""

    status: int
    words: str
    challenges: Sequence[str]


def explained(url: str, kind: Kind, options: StreamOptions, fault: SourceError, clock: Clock) -> SourceError:
    """Return the fault of a failed attempt by FFmpeg, or a more precise one."""
    if kind not in ("rtsp", "http"):
        return fault
    if fault.reason == "unreachable":
        return fault if resolves(urlsplit(url).hostname or "", _MOST_S) else unresolved_error()
    if fault.reason == "unauthorized":
        return _login_fault(url, kind, options, fault, clock)
    if fault.reason == "rejected":
        if kind == "rtsp" and plays_audio_alone(url, options):
            return no_video_error(audio=True)
        refusal = _ask(url, kind, options, clock, log_in=True)
        if refusal is not None and refusal.status != UNAUTHORIZED:
            return status_error(refusal.status, refusal.words)
    return fault


def _login_fault(
    url: str, kind: Kind, options: StreamOptions, fault: SourceError, clock: Clock
) -> SourceError:
    if not credentials(url)[0]:
        return login_error(given=False)
    # Ask without the login: many cameras lock an account after a few wrong attempts.
    refusal = _ask(url, kind, options, clock, log_in=False)
    if refusal is None or refusal.status != UNAUTHORIZED:
        return fault
    kinds = [one.kind for one in parse_challenges(refusal.challenges)]
    if not kinds or any(each.upper().removesuffix("-SESS") in _BY_FFMPEG for each in kinds):
        return fault
    return login_error(given=True, unknown=list(dict.fromkeys(kinds)), remedy=_LACKS)


def _ask(url: str, kind: Kind, options: StreamOptions, clock: Clock, *, log_in: bool) -> _Refusal | None:
    """Return how the server refuses the stream; None if it does not, or can't be asked."""
    return _ask_http(url) if kind == "http" else _ask_rtsp(url, options, clock, log_in=log_in)


def _ask_rtsp(url: str, options: StreamOptions, clock: Clock, *, log_in: bool) -> _Refusal | None:
    deadline = Deadline(clock, threading.Event(), clock.monotonic() + _MOST_S, _MOST_S)
    try:
        address = parse_address(url)
        if address.tls:
            return None
        with dial(address.host, address.port, deadline) as sock:
            login = Login(address.credentials if log_in else None)
            exchange = Exchange(Connection(sock), login, deadline)
            answer = exchange.ask("DESCRIBE", address.uri, {"Accept": "application/sdp"})
            video = find_video(answer.body) if answer.body.strip() else None
            if answer.status not in _REFUSED and video is not None:
                media_uri = control_urls(video, answer.first("content-base") or address.uri)[1]
                answer = exchange.ask("SETUP", media_uri, {"Transport": _TRANSPORTS[options.transport]})
                _leave(exchange, address.uri, answer)
    except (UnsupportedError, HungUpError, SourceError, OSError):
        return None
    if answer.status not in _REFUSED:
        return None
    return _Refusal(answer.status, answer.words, answer.every("www-authenticate"))


def _leave(exchange: Exchange, uri: str, answer: Answer) -> None:
    """End the session if the server has set one up."""
    session = answer.first("session").partition(";")[0]
    if answer.status not in _REFUSED and session:
        with suppress(SourceError):
            exchange.ask("TEARDOWN", uri, {"Session": session})


def _ask_http(url: str) -> _Refusal | None:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    context = ssl.create_default_context()
    # Nothing is sent, and no picture is read.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(  # noqa: S310 - an HTTP URL, of the stream's own server
            parts._replace(netloc=place).geturl(), timeout=_MOST_S, context=context
        ):
            return None
    except HTTPError as error:
        with error:
            challenges = error.headers.get_all("WWW-Authenticate", [])
            return _Refusal(error.code, str(error.reason), challenges)
    except (OSError, ValueError):
        return None
