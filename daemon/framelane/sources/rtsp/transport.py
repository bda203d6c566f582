"""Transports of a session's packets: interleaved in the TCP connection, or UDP (RFC 2326 section 12.39)."""

from __future__ import annotations

import errno
import re
import struct
from typing import TYPE_CHECKING, Protocol

from framelane.sources.network.ffmpeg_errors import garbage_error, number_error
from framelane.sources.rtsp.errors import ConfusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.sources.rtsp.connection import Connection

_CHANNELS = re.compile(r"(\d{1,3})(?:\s*-\s*(\d{1,3}))?")
_MOST_CHANNEL = 255
_FRAME = struct.Struct(">cBH")


class PacketSink(Protocol):
    """Takes packets that come outside the TCP connection; called on the reactor's thread."""

    def take_packets(self, packets: list[bytes], *, drained: bool) -> None:
        """Take RTP datagrams; `drained` says that no more wait."""
        ...

    def take_reports(self, packets: list[bytes]) -> None:
        """Take RTCP datagrams."""
        ...


class Transport(Protocol):
    """Delivers one session's packets."""

    @property
    def offer(self) -> str:
        """The Transport header for SETUP."""
        ...

    @property
    def channels(self) -> tuple[int, int] | None:
        """The RTP and RTCP channels within the TCP connection; None with UDP."""
        ...

    def agree(self, header: str) -> None:
        """Take the Transport header of the server's answer. Raise SourceError if it is another transport."""
        ...

    def callbacks(self, sink: PacketSink) -> Mapping[int, Callable[[], None]]:
        """Return the read callbacks of further descriptors besides the TCP connection."""
        ...

    def open_firewalls(self) -> None:
        """Open firewalls on the way; called until packets come."""
        ...

    def report(self, packet: bytes) -> None:
        """Send an RTCP packet. Raise OSError if that fails."""
        ...

    def close(self) -> None:
        """Release everything except the TCP connection. A repeated call does nothing."""
        ...


class Interleaving:
    """RTP and RTCP within the TCP connection.

    Args:
        connection: owned by the caller.
    """

    offer = "RTP/AVP/TCP;unicast;interleaved=0-1"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.channels = 0, 1

    def agree(self, header: str) -> None:
        """Take the channels that the server names, else keep the requested ones."""
        protocol, parameters = parse_transport(header)
        if protocol and "/TCP" not in protocol:
            raise number_error(errno.EPROTONOSUPPORT)
        match = _CHANNELS.match(parameters.get("interleaved", ""))
        if match is None:
            return
        channel = int(match[1])
        self.channels = channel, int(match[2]) if match[2] else channel + 1
        if max(self.channels) > _MOST_CHANNEL:
            raise ConfusedError.of(garbage_error())

    def callbacks(self, _sink: PacketSink) -> Mapping[int, Callable[[], None]]:
        """Return nothing: all packets come in the TCP connection."""
        return {}

    def open_firewalls(self) -> None:
        """Do nothing: the TCP connection is open already."""

    def report(self, packet: bytes) -> None:
        """Send an RTCP packet on its channel."""
        self._connection.write(_FRAME.pack(b"$", self.channels[1], len(packet)) + packet)

    def close(self) -> None:
        """Do nothing: the owner of the connection closes it."""


def parse_transport(header: str) -> tuple[str, dict[str, str]]:
    """Return the upper-case protocol of a Transport header, and its parameters by lower-case name."""
    protocol, *parts = (part.strip() for part in header.partition(",")[0].split(";"))
    pairs = (part.partition("=") for part in parts)
    return protocol.upper(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
