from __future__ import annotations

import random
import socket
from collections import deque

import pytest

from framelane.sinks.mqtt.buffered_socket import BufferedSocket


class Writer:
    """Sends packets as paho does: one after another, what was not taken again, and the rest of one taken in part."""

    def __init__(self, sock: socket.socket, packets: list[bytes]) -> None:
        self.waiting = deque(packets)
        self.gathering = BufferedSocket(sock, lambda: bool(self.waiting))

    def write(self) -> None:
        while self.waiting:
            packet = self.waiting.popleft()
            try:
                taken = self.gathering.send(packet)
            except BlockingIOError:
                self.waiting.appendleft(packet)
                return
            if taken < len(packet):
                self.waiting.appendleft(packet[taken:])


@pytest.fixture
def ends() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ours.settimeout(0.0)
    theirs.settimeout(0.0)
    return ours, theirs


def drained(sock: socket.socket) -> bytes:
    data = b""
    try:
        while piece := sock.recv(1000):
            data += piece
    except BlockingIOError:
        pass
    return data


@pytest.mark.parametrize("largest", [10, 3000, 200_000])
def test_send_loses_and_repeats_nothing_when_the_reader_is_slow(
    ends: tuple[socket.socket, socket.socket], largest: int
) -> None:
    dice = random.Random(1)
    packets = [dice.randbytes(dice.randint(1, largest)) for _ in range(50)]
    writer = Writer(ends[0], packets)
    got = b""
    while writer.waiting:
        writer.write()
        got += drained(ends[1])
    with ends[0], ends[1]:
        assert got + drained(ends[1]) == b"".join(packets)


class Counting:
    """A socket within that takes everything."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.to_read = [b"\x40\x02\x00\x01\x40\x02\x00\x02", b"\x40"]

    def send(self, data: bytes | bytearray) -> int:
        self.sent.append(bytes(data))
        return len(data)

    def recv(self, size: int) -> bytes:
        return self.to_read.pop(0)

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001
        """Never asked."""

    def fileno(self) -> int:
        return 0

    def close(self) -> None:
        """Never asked."""


def test_send_writes_all_that_waits_at_once() -> None:
    within = Counting()
    left = [b"b", b"c"]
    sock = BufferedSocket(within, lambda: bool(left))
    for packet in (b"a", b"b", b"c"):
        assert sock.send(packet) == 1
        if left:
            left.pop()
    assert within.sent == [b"abc"]


def test_recv_hands_out_what_came_at_once() -> None:
    sock = BufferedSocket(Counting(), lambda: False)
    assert [sock.recv(size) for size in (1, 1, 2, 1, 100)] == [
        b"\x40",
        b"\x02",
        b"\x00\x01",
        b"\x40",
        b"\x02\x00\x02",
    ]
    assert (sock.pending(), sock.recv(5), sock.pending()) == (0, b"\x40", 0)
