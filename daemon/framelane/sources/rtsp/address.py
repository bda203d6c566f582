"""Where a stream is: host, port and request URI, apart from the login that its URL holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from framelane.sources.rtsp.auth import Credentials
from framelane.sources.rtsp.errors import UnsupportedError

DEFAULT_PORT = 554
_AUTHORITY = re.compile(r"(rtsp://)([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_FFMPEG_OPTIONS = frozenset({"udp", "multicast", "tcp", "http", "https", "record"})
_KEPT = "".join(map(chr, range(0x21, 0x7F)))
"""Printable ASCII: a camera gets its path as it was written, percent signs included."""


@dataclass(frozen=True, slots=True)
class Address:
    """A stream's place.

    Attributes:
        host: name or address, without brackets.
        port: of TCP.
        uri: for requests; holds no login.
        credentials: of the URL, percent-decoded; None where it has none.
    """

    host: str
    port: int
    uri: str
    credentials: Credentials | None


def parse_address(url: str) -> Address:
    """Take a URL apart.

    Raises:
        UnsupportedError: it is no plain `rtsp://`, or FFmpeg finds an option in it.
    """
    match = _AUTHORITY.fullmatch(url.strip())
    if match is None:
        raise UnsupportedError("the URL does not begin with rtsp://")
    login, _, place = match[2].rpartition("@")
    try:
        parts = urlsplit(f"rtsp://{place}/")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        # Python's own text may hold a piece of the password.
        raise UnsupportedError("the URL names no host, or no possible port")
    if _FFMPEG_OPTIONS.intersection(match[3].rpartition("?")[2].split("&")):
        raise UnsupportedError("the URL holds an option of FFmpeg's")
    credentials = _credentials(login) if login else None
    return Address(unquote(host), port or DEFAULT_PORT, _printable(f"rtsp://{place}{match[3]}"), credentials)


def without_login(uri: str) -> str:
    """The URI that a server names, without a login in it, fit for a request line."""
    match = _AUTHORITY.fullmatch(uri.strip())
    if match is None:
        return _printable(uri.strip())
    return _printable(f"{match[1]}{match[2].rpartition('@')[2]}{match[3]}")


def _credentials(login: str) -> Credentials:
    user, _, password = login.partition(":")
    return Credentials(unquote(user, errors="surrogateescape"), unquote(password, errors="surrogateescape"))


def _printable(uri: str) -> str:
    return quote(uri, safe=_KEPT, errors="surrogateescape")
