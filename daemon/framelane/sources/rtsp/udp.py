"""RTP and RTCP over UDP, on one pair of ports per camera (RFC 3550 section 11)."""

from __future__ import annotations

import errno
import re
import socket
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from framelane.core.errors import SourceError
from framelane.sources.network.ffmpeg_errors import number_error
from framelane.sources.rtsp.transport import parse_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.sources.rtsp.transport import PacketSink

_WANTED_BUFFER = 2 << 20
"""Bytes to buffer in the kernel, for a 4K key frame that comes at once. The limit is `net.core.rmem_max`."""
_BATCH = 64
"""Datagrams per read; then the next camera is read."""
_USUAL_BYTES, _MOST_BYTES = 2048, 65_536
_TRIES = 64
_RTP_VERSION = 0x80
_PORTS = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?")
_MOST_PORT = 65_535
# Empty packets: an RTP header without a payload, and an RTCP receiver report without a block.
_EMPTY_RTP, _EMPTY_RTCP = b"\x80\x00" + bytes(10), b"\x80\xc9\x00\x01" + bytes(4)


class UdpPort:
    """One local port.

    It accepts packets from the camera's addresses until the first one shows the camera's port.

    From then on, the kernel drops packets from other senders. Cameras behind NAT, and some others, don't send
    from the port that they announce.

    Args:
        sock: bound and non-blocking; closed by close().
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._hosts: frozenset[str] = frozenset()
        self._peer: tuple[Any, ...] | None = None
        self._known = self._bound = False
        self._size = _USUAL_BYTES

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._sock.fileno()

    @property
    def number(self) -> int:
        """The port number."""
        return int(self._sock.getsockname()[1])

    def expect(self, hosts: frozenset[str], peer: tuple[Any, ...] | None) -> None:
        """Accept packets from these addresses. Send to `peer` (as for `sendto`) until one has come."""
        self._hosts, self._peer = hosts, peer

    def send(self, data: bytes) -> None:
        """Send a datagram if the camera's port is known.

        Raises:
            OSError: the datagram can't be sent.
        """
        if self._known:
            self._sock.send(data)
        elif self._peer is not None:
            self._sock.sendto(data, self._peer)

    def read(self) -> tuple[list[bytes], bool]:
        """Return at most one batch of waiting datagrams, and whether no more wait."""
        packets: list[bytes] = []
        for _ in range(_BATCH):
            try:
                packet = self._sock.recv(self._size) if self._bound else self._receive_checked()
            except BlockingIOError:
                self._bound = self._known
                return packets, True
            except OSError:
                # An ICMP error about a packet that we sent earlier.
                continue
            if len(packet) == self._size and self._size < _MOST_BYTES:
                # This datagram lost its end; the next ones will fit.
                self._size = _MOST_BYTES
            elif packet:
                packets.append(packet)
        return packets, False

    def close(self) -> None:
        """Close the port. A repeated call does nothing."""
        self._sock.close()

    def _receive_checked(self) -> bytes:
        """Read a datagram; empty if it comes from another sender.

        The first one sets the filter in the kernel.

        Datagrams that arrived before the filter was set are still read here.
        """
        packet, address = self._sock.recvfrom(self._size)
        if address[0] not in self._hosts or not packet or packet[0] & 0xC0 != _RTP_VERSION:
            return b""
        if not self._known:
            self._sock.connect(address)
            self._hosts, self._known = frozenset((address[0],)), True
        return packet


class UdpTransport:
    """Two neighboring ports, the even one for RTP.

    Args:
        connection: the connected TCP socket, which has our address and the camera's.

    Raises:
        SourceError: no such pair of ports is free.
    """

    channels = None

    def __init__(self, connection: socket.socket) -> None:
        self._family = connection.family
        self._peer = connection.getpeername()
        rtp, rtcp = _bind_pair(connection)
        self._rtp, self._rtcp = UdpPort(rtp), UdpPort(rtcp)
        with suppress(OSError):
            rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WANTED_BUFFER)

    @property
    def offer(self) -> str:
        """The Transport header for SETUP."""
        return f"RTP/AVP;unicast;client_port={self._rtp.number}-{self._rtcp.number}"

    def agree(self, header: str) -> None:
        """Take the camera's ports, and its address if it differs from the TCP connection's."""
        protocol, parameters = parse_transport(header)
        if "/TCP" in protocol or "multicast" in parameters or "interleaved" in parameters:
            raise number_error(errno.EPROTONOSUPPORT)
        home: str = self._peer[0]
        source = self._numeric(parameters.get("source", "")) or home
        hosts = frozenset((home, source))
        for port, number in zip(
            (self._rtp, self._rtcp), _ports(parameters.get("server_port", "")), strict=True
        ):
            there = (source, number, *self._peer[2:])
            port.expect(hosts, there if number else None)

    def callbacks(self, sink: PacketSink) -> Mapping[int, Callable[[], None]]:
        """Return the read callbacks of both ports."""
        return {
            self._rtp.fileno(): partial(_read_packets, self._rtp, sink),
            self._rtcp.fileno(): partial(_read_reports, self._rtcp, sink),
        }

    def open_firewalls(self) -> None:
        """Send an empty packet from each port, so that firewalls and NAT let the camera's packets in."""
        for port, packet in ((self._rtp, _EMPTY_RTP), (self._rtcp, _EMPTY_RTCP)):
            with suppress(OSError):
                port.send(packet)

    def report(self, packet: bytes) -> None:
        """Send an RTCP packet."""
        self._rtcp.send(packet)

    def close(self) -> None:
        """Close both ports."""
        self._rtp.close()
        self._rtcp.close()

    def _numeric(self, host: str) -> str:
        """Return an address in the kernel's spelling; empty if the camera can't send from it."""
        with suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(
                host.strip("[]"), 0, self._family, socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
            )
            address = str(found[0][4][0]) if host else ""
            return "" if address in {"0.0.0.0", "::"} else address
        return ""


def _read_packets(port: UdpPort, sink: PacketSink) -> None:
    packets, drained = port.read()
    sink.take_packets(packets, drained=drained)


def _read_reports(port: UdpPort, sink: PacketSink) -> None:
    sink.take_reports(port.read()[0])


def _ports(text: str) -> tuple[int, int]:
    """Return the camera's ports for RTP and RTCP; 0 for a port that it does not name."""
    match = _PORTS.match(text)
    if match is None:
        return 0, 0
    rtp = int(match[1])
    rtcp = int(match[2]) if match[2] else rtp + 1 if rtp else 0
    return (rtp, rtcp) if max(rtp, rtcp) <= _MOST_PORT else (0, 0)


def _bind_pair(connection: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Bind an even port and the next one, on the local address of the connection."""
    home = connection.getsockname()
    number = errno.EADDRINUSE
    for _ in range(_TRIES):
        with ExitStack() as guard:
            try:
                first = guard.enter_context(_bind(connection.family, home, 0))
                port = first.getsockname()[1]
                second = guard.enter_context(_bind(connection.family, home, port ^ 1))
            except (OSError, OverflowError) as error:
                number = getattr(error, "errno", None) or number
                if number == errno.EADDRINUSE:
                    continue
                break
            guard.pop_all()
        return (second, first) if port & 1 else (first, second)
    if number == errno.EADDRINUSE:
        raise SourceError("failed", "no two neighboring UDP ports are free on this host")
    raise number_error(number)


def _bind(family: int, home: tuple[Any, ...], port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.bind((home[0], port, *home[2:]))
    except (OSError, OverflowError):
        sock.close()
        raise
    return sock
