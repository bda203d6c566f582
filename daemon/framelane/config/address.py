"""Parses the addresses in a configuration: sources, the broker and the HTTP listener."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from framelane.config.suggest import listed, nearest

SourceKind = Literal["rtsp", "http", "device", "path"]

_SOURCE_KINDS: dict[str, SourceKind] = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
_NOT_SUPPORTED = {
    "rtmp": "RTMP",
    "rtmps": "RTMP",
    "rtmpt": "RTMP",
    "srt": "SRT",
    "rtp": "RTP without RTSP",
    "udp": "UDP without RTSP",
    "mms": "MMS",
    "rtspu": "`rtspu`",
    "onvif": "ONVIF discovery",
    "webrtc": "WebRTC",
    "whep": "WebRTC",
    "hls": "`hls`",
}
"""Other schemes that servers use, and what to call them in a message."""
_REMEDIES = {"hls": "use the playlist's https:// URL", "rtspu": "use rtsp:// with `transport: udp`"}
_USE_RTSP = "use the server's rtsp:// URL"
_BROKER_PORTS = {"mqtt": 1883, "mqtts": 8883}
_SOURCES = listed([*_SOURCE_KINDS, "the path of a file or of a folder of images", "/dev/videoN"])
_DEVICE = re.compile(r"/dev/video\d+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(://|:(?=/)|:$)")


class AddressError(ValueError):
    """An address that can't be used; the message says why and never contains the address."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """The parts of an mqtt:// or mqtts:// URL."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None

    @property
    def url(self) -> str:
        """Return the URL without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def source_kind(url: str) -> SourceKind:
    """Return the kind of source that a stream's URL names.

    Raises:
        AddressError: The scheme is unknown, the host or port is bad, or the URL contains a control character.
    """
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise AddressError("contains a control character")
    if _DEVICE.fullmatch(url):
        return "device"
    scheme = _SCHEME.match(url)
    if scheme is None:
        return "path"
    kind = _SOURCE_KINDS.get(scheme[1].lower())
    if kind is None:
        name = scheme[1].lower()
        if name in _NOT_SUPPORTED:
            raise AddressError(f"{_NOT_SUPPORTED[name]} is not supported; {_REMEDIES.get(name, _USE_RTSP)}")
        raise AddressError(_unknown_scheme(scheme[1], list(_SOURCE_KINDS), _SOURCES))
    _split(url)
    return kind


def parse_broker(url: str) -> BrokerAddress:
    """Return host, port, TLS and credentials of a broker's URL.

    Raises:
        AddressError: It is not an mqtt:// or mqtts:// URL of a host.
    """
    scheme = _SCHEME.match(url)
    name = scheme[1].lower() if scheme else ""
    if scheme is None:
        raise AddressError("has no scheme; write mqtt://host or mqtts://host")
    if name not in _BROKER_PORTS:
        raise AddressError(_unknown_scheme(scheme[1], list(_BROKER_PORTS), listed(_BROKER_PORTS)))
    parts = _split(url)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise AddressError("has a path; an MQTT URL ends after the port (topics begin with `prefix`)")
    return BrokerAddress(
        host=parts.hostname or "",
        port=parts.port or _BROKER_PORTS[name],
        tls=name == "mqtts",
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password is not None else None,
    )


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`; IPv6 addresses need brackets, port 0 means any free port.

    Raises:
        AddressError: The text has another form.
    """
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:/\[\]@]+)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > 65_535:  # noqa: PLR2004 - the largest port
        raise AddressError("expected host:port, such as 127.0.0.1:8080 or [::1]:8080")
    return found[1] or found[2], int(found[3])


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is reachable from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def credentials(url: str) -> tuple[str, str]:
    """Return user and password of a URL, still percent-encoded; empty if there are none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.username or "", parts.password or ""


def _unknown_scheme(scheme: str, known: list[str], all_known: str) -> str:
    meant = nearest(scheme, known)
    if meant is not None:
        return f"unsupported scheme `{scheme}`; did you mean `{meant}`?"
    return f"unsupported scheme `{scheme}`; expected {all_known}"


def _split(url: str) -> SplitResult:
    """Split a URL that must have a host."""
    if "://" not in url:
        raise AddressError("expected `://` after the scheme")
    encode = "; percent-encode `/ ? # @ [ ]` in a password" if "@" in url else ""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise AddressError(f"the host is not a valid name or address{encode}") from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise AddressError(f"the port is not a number from 1 to 65535{encode}")
    if not host:
        raise AddressError(f"has no host{encode}")
    if re.search(r"[\s\x00-\x1f]", host):
        raise AddressError("the host contains a space")
    return parts
