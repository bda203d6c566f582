"""Parses a stream's URL into host, port, request URI and login."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from framelane.sources.rtsp.auth import Credentials
from framelane.sources.rtsp.errors import UnsupportedError

_PORTS = {"rtsp": 554, "rtsps": 322}
_AUTHORITY = re.compile(r"(rtsps?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_FFMPEG_OPTIONS = frozenset({"udp", "multicast", "tcp", "http", "https", "record"})
_KEPT = "".join(map(chr, range(0x21, 0x7F)))
"""Printable ASCII. A camera gets its path as the URL has it, percent signs included."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a stream's URL.

    Attributes:
        host: name or address, without brackets.
        port: TCP port.
        uri: for requests; without the login.
        credentials: from the URL, percent-decoded; None if it has none.
        tls: whether the scheme is `rtsps://`.
    """

    host: str
    port: int
    uri: str
    credentials: Credentials | None
    tls: bool = False


def parse_address(url: str) -> Address:
    """Parse a stream's URL.

    Raises:
        UnsupportedError: the scheme is neither `rtsp://` nor `rtsps://`, or the URL has an FFmpeg option.
    """
    match = _AUTHORITY.fullmatch(url.strip())
    if match is None:
        raise UnsupportedError("the URL begins with neither rtsp:// nor rtsps://")
    scheme = match[1].lower()
    login, _, place = match[2].rpartition("@")
    try:
        parts = urlsplit(f"rtsp://{place}/")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        # Python's own error text may hold a piece of the password.
        raise UnsupportedError("the URL names no host, or no possible port")
    if _FFMPEG_OPTIONS.intersection(match[3].rpartition("?")[2].split("&")):
        raise UnsupportedError("the URL holds an FFmpeg option")
    credentials = _credentials(login) if login else None
    uri = _printable(f"{scheme}://{place}{match[3]}")
    return Address(unquote(host), port or _PORTS[scheme], uri, credentials, scheme == "rtsps")


def without_login(uri: str) -> str:
    """Return a URI that a server sent, without its login, fit for a request line."""
    match = _AUTHORITY.fullmatch(uri.strip())
    if match is None:
        return _printable(uri.strip())
    return _printable(f"{match[1]}://{match[2].rpartition('@')[2]}{match[3]}")


def _credentials(login: str) -> Credentials:
    user, _, password = login.partition(":")
    return Credentials(unquote(user, errors="surrogateescape"), unquote(password, errors="surrogateescape"))


def _printable(uri: str) -> str:
    return quote(uri, safe=_KEPT, errors="surrogateescape")
