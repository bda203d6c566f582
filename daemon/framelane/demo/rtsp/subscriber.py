"""Delivers frames to one client: interleaved in its TCP connection, or as paced UDP datagrams."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from framelane.demo.rtsp.packets import FrameBlock, frame_packets

# What may wait for a slow client, beyond the kernel's own buffer.
TCP_BUFFER_BYTES = 512 * 1024
# 24 x 1400 bytes fit the smallest default receive buffer.
UDP_BURST_PACKETS = 24
UDP_BURST_EVERY_S = 0.001
UDP_QUEUE_PACKETS = 2048
_MIN_UDP_PORT, _MAX_UDP_PORT = 20_000, 60_000


class Subscriber(Protocol):
    """One playing client of a camera."""

    def send_frame(self, block: FrameBlock) -> bool:
        """Deliver a frame; return False if it was dropped because the client is slow."""

    def send_rtcp(self, packet: bytes) -> None:
        """Deliver an RTCP packet."""

    def close(self) -> None:
        """Stop delivering. A repeated call does nothing."""


class TcpSubscriber:
    """Writes whole frames into the RTSP connection; drops them while its buffer is full (newest lost)."""

    def __init__(self, transport: asyncio.WriteTransport, channels: tuple[int, int]) -> None:
        self._transport = transport
        self._rtp_channel, self._rtcp_channel = channels

    def send_frame(self, block: FrameBlock) -> bool:
        """Send a frame in one write."""
        if self._transport.get_write_buffer_size() > TCP_BUFFER_BYTES:
            return False
        self._transport.write(block.on_channel(self._rtp_channel))
        return True

    def send_rtcp(self, packet: bytes) -> None:
        """Send an RTCP packet, interleaved on the second channel."""
        self._transport.write(frame_packets([packet]).on_channel(self._rtcp_channel))

    def close(self) -> None:
        """Do nothing: the connection belongs to the session."""


@dataclass(frozen=True, slots=True)
class UdpPair:
    """The server's RTP and RTCP sockets (an even port and the next), shared by all UDP clients."""

    rtp: socket.socket
    rtcp: socket.socket

    @property
    def ports(self) -> str:
        """`server_port` of the Transport header."""
        return f"{self.rtp.getsockname()[1]}-{self.rtcp.getsockname()[1]}"

    def close(self) -> None:
        """Close both sockets."""
        self.rtp.close()
        self.rtcp.close()


def open_udp_pair(host: str) -> UdpPair:
    """Bind two neighboring free ports on `host`. Raise `OSError` if there are none."""
    for port in range(_MIN_UDP_PORT, _MAX_UDP_PORT, 2):
        rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            rtp.bind((host, port))
            rtcp.bind((host, port + 1))
        except OSError:
            rtp.close()
            rtcp.close()
            continue
        rtp.setblocking(False)  # noqa: FBT003 the socket module's own signature
        rtcp.setblocking(False)  # noqa: FBT003
        return UdpPair(rtp, rtcp)
    raise OSError(f"no two neighboring UDP ports are free on {host}")


class UdpSubscriber:
    """Sends datagrams in bursts that fit a default receive buffer; the queue is bounded (newest lost)."""

    def __init__(self, pair: UdpPair, host: str, ports: tuple[int, int]) -> None:
        self._pair = pair
        self._rtp_address, self._rtcp_address = (host, ports[0]), (host, ports[1])
        self._queue: deque[memoryview] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send_frame(self, block: FrameBlock) -> bool:
        """Send the first burst now, the rest a millisecond apart."""
        packets = block.packets()
        if len(self._queue) + len(packets) > UDP_QUEUE_PACKETS:
            return False
        self._queue.extend(packets)
        if self._timer is None:
            self._send_burst()
        return True

    def send_rtcp(self, packet: bytes) -> None:
        """Send one datagram to the client's RTCP port."""
        self._send(self._pair.rtcp, packet, self._rtcp_address)

    def close(self) -> None:
        """Discard what is still queued."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_burst(self) -> None:
        for _ in range(min(len(self._queue), UDP_BURST_PACKETS)):
            self._send(self._pair.rtp, self._queue.popleft(), self._rtp_address)
        self._timer = None
        if self._queue:
            self._timer = asyncio.get_running_loop().call_later(UDP_BURST_EVERY_S, self._send_burst)

    @staticmethod
    def _send(sock: socket.socket, packet: bytes | memoryview, address: tuple[str, int]) -> None:
        try:
            sock.sendto(packet, address)
        except (BlockingIOError, ConnectionError):
            # UDP promises nothing: the datagram is lost, as on a real network.
            return
