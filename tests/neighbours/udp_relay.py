"""A relay between an RTSP client and a server that loses, delays and repeats datagrams, and remembers each of them."""

from __future__ import annotations

import random
import re
import select
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from framelane.demo.rtsp.subscriber import UdpPair, open_udp_pair

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_S = 0.05
_CLIENT = re.compile(rb"client_port=(\d+)-(\d+)")
_SERVER = re.compile(rb"server_port=(\d+)-(\d+)")
_HOLD_S = 0.008
# Readers wait for a packet until 128 have come behind it. On a busy host, more than that can come in _HOLD_S.
_MOST_AHEAD = 64


class Passed(NamedTuple):
    """A datagram of RTP that came from the server."""

    data: bytes
    lost: bool

    @property
    def stamp(self) -> int:
        found: int = struct.unpack_from(">I", self.data, 4)[0]
        return found


class UdpRelay:
    """Listens on loopback for one client: `with UdpRelay(port_of_the_server, loss=0.01) as relay: relay.port`.

    Args:
        port: of the server.
        loss: share of datagrams that get lost.
        late: share of them that others overtake.
        twice: share of them that come twice.
        seed: of chance.
    """

    def __init__(
        self, port: int, loss: float = 0.0, late: float = 0.0, twice: float = 0.0, seed: int = 1
    ) -> None:
        self._server_port = port
        self._loss, self._late, self._twice = loss, late, twice
        self._chance = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._front, self._back = open_udp_pair("127.0.0.1"), open_udp_pair("127.0.0.1")
        for pair in (self._front, self._back):
            pair.rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._client_ports = self._server_ports = (0, 0)
        self._held: list[tuple[float, int, bytes]] = []
        """Datagrams, each with the latest time and count of others at which it follows."""
        self._count = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._passed: list[Passed] = []
        self.reports = 0
        """Datagrams of RTCP that the client has sent."""

    def __enter__(self) -> UdpRelay:
        for run in (self._serve, self._forward):
            self._threads.append(threading.Thread(target=run, daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listener, self._front, self._back):
            one.close()

    @property
    def port(self) -> int:
        """Where the client finds it."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def passed(self) -> list[Passed]:
        """All RTP so far, in the server's order."""
        with self._lock:
            return list(self._passed)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
                    self._talk(client, server)

    def _talk(self, client: socket.socket, server: socket.socket) -> None:
        while not self._over.is_set():
            for one in select.select([client, server], [], [], _LOOK_S)[0]:
                data = one.recv(1 << 16)
                if not data:
                    return
                if one is client:
                    server.sendall(self._rewritten(_CLIENT, data, self._back, self._meet_client))
                else:
                    data = self._rewritten(_CLIENT, data, None, None)
                    client.sendall(self._rewritten(_SERVER, data, self._front, self._meet_server))

    def _meet_client(self, ports: tuple[int, int]) -> None:
        self._client_ports = ports

    def _meet_server(self, ports: tuple[int, int]) -> None:
        self._server_ports = ports

    def _rewritten(
        self,
        pattern: re.Pattern[bytes],
        data: bytes,
        pair: UdpPair | None,
        meet: Callable[[tuple[int, int]], None] | None,
    ) -> bytes:
        """The message with our ports in place of the other side's."""
        match = pattern.search(data)
        if match is None:
            return data
        ports = self._client_ports
        if pair is not None and meet is not None:
            meet((int(match[1]), int(match[2])))
            ports = pair.rtp.getsockname()[1], pair.rtcp.getsockname()[1]
        name = pattern.pattern.partition(b"=")[0]
        return data[: match.start()] + name + b"=%d-%d" % ports + data[match.end() :]

    def _forward(self) -> None:
        sockets = [self._front.rtp, self._front.rtcp, self._back.rtp, self._back.rtcp]
        while not self._over.is_set():
            ready = select.select(sockets, [], [], _HOLD_S / 2)[0]
            for one in ready:
                with suppress(OSError):
                    self._pass(one, one.recv(1 << 16))
            self._release()

    def _pass(self, sock: socket.socket, data: bytes) -> None:
        if sock is self._back.rtp:
            self._pass_picture(data)
        elif sock is self._back.rtcp:
            self._front.rtcp.sendto(data, ("127.0.0.1", self._client_ports[1]))
        elif sock is self._front.rtcp:
            self.reports += 1
            self._back.rtcp.sendto(data, ("127.0.0.1", self._server_ports[1]))

    def _pass_picture(self, data: bytes) -> None:
        self._count += 1
        lost = self._chance.random() < self._loss
        with self._lock:
            self._passed.append(Passed(data, lost))
        if lost:
            return
        if self._chance.random() < self._late:
            until_s = time.monotonic() + self._chance.random() * _HOLD_S
            self._held.append((until_s, self._count + _MOST_AHEAD, data))
            return
        for _ in range(1 + (self._chance.random() < self._twice)):
            self._front.rtp.sendto(data, ("127.0.0.1", self._client_ports[0]))

    def _release(self) -> None:
        now_s = time.monotonic()
        held, self._held = self._held, []
        for one in held:
            until_s, count, data = one
            if until_s <= now_s or count <= self._count:
                self._front.rtp.sendto(data, ("127.0.0.1", self._client_ports[0]))
            else:
                self._held.append(one)
