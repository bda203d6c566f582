"""A broker that does what a real one can't be told to do: stay silent, acknowledge nothing, refuse, hang up."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 0x30, 0x80, 0xC0, 0xE0


@dataclass(frozen=True)
class Manner:
    """How one connection is treated.

    Attributes:
        accept: answer CONNECT.
        code: reason code of the CONNACK.
        properties: MQTT 5 properties of the CONNACK, packed.
        alias_maximum: topic aliases it takes, told in the CONNACK.
        ack: reason code of each PUBACK, None for no PUBACK at all.
        suback: reason codes of the SUBACK.
        cut_after: close the socket after so many publishes.
        lives_s: close the socket after so many seconds, whatever has come.
        last_word: sent before it is closed.
        hang_up: whether it closes the connection over a CONNECT, told by its flags.
        hates: whether it closes the connection over a PUBLISH.
        ack_properties: MQTT 5 properties of each PUBACK, packed.
    """

    accept: bool = True
    code: int = 0
    properties: bytes = b""
    alias_maximum: int = 0
    ack: int | None = 0
    suback: bytes = b""
    cut_after: int | None = None
    lives_s: float | None = None
    last_word: bytes = b""
    hang_up: Callable[[int], bool] = lambda _flags: False
    hates: Callable[[Publish], bool] = lambda _publish: False
    ack_properties: bytes = b""


@dataclass
class Publish:
    """A PUBLISH packet as it came."""

    connection: int
    topic: str
    payload: bytes
    dup: bool
    properties: bytes
    size: int
    qos: int
    retain: bool
    mqtt5: bool

    @property
    def alias(self) -> int | None:
        """The topic alias, which is the last property that is packed."""
        return int.from_bytes(self.properties[-2:], "big") if self.properties[-3:-2] == b"#" else None

    @property
    def json(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload)


@dataclass
class FakeBroker:
    """Speaks as much MQTT as the tests need; each connection is treated in the next manner, the last forever."""

    manners: Sequence[Manner]
    publishes: list[Publish] = field(default_factory=list)
    """What it took."""
    hated: list[Publish] = field(default_factory=list)
    """Over what it hung up."""
    flags: list[int] = field(default_factory=list)
    """The connect flags of each CONNECT: 0x20 for a retained Will, 0x18 its QoS, 0x04 for a Will."""
    disconnects: int = 0

    def __enter__(self) -> FakeBroker:
        self._changed = threading.Condition()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="fake-broker", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self._server.getsockname()[1]}"

    def drop_all(self) -> None:
        """Close all connections."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def wait_for_publishes(self, count: int, timeout_s: float = 10.0) -> list[Publish]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.publishes) >= count, timeout_s), self.publishes
            return list(self.publishes)

    def _serve(self) -> None:
        number = 0
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                self._open.append(sock)
                with sock, contextlib.suppress(OSError, EOFError):
                    self._treat(sock, number, self.manners[min(number, len(self.manners) - 1)])
                number += 1

    def _treat(self, sock: socket.socket, number: int, manner: Manner) -> None:
        head, body = _read_packet(sock)
        mqtt5 = body[6] == 5
        self.flags.append(body[7])
        if manner.hang_up(body[7]):
            return
        if manner.accept:
            sock.sendall(_connack(manner, mqtt5=mqtt5))
        if manner.lives_s is not None:
            time.sleep(manner.lives_s)
            sock.sendall(manner.last_word)
            return
        published = 0
        while True:
            head, body = _read_packet(sock)
            kind = head & 0xF0
            if kind == SUBSCRIBE:
                answer = body[:2] + (b"\0" if mqtt5 else b"") + manner.suback
                sock.sendall(bytes([0x90, len(answer)]) + answer)
            elif kind == PINGREQ:
                sock.sendall(b"\xd0\x00")
            elif kind == DISCONNECT:
                self.disconnects += 1
                return
            elif kind == PUBLISH:
                published += 1
                taken = self._take(sock, _publish(number, head, body, mqtt5=mqtt5), manner)
                if not taken or published == manner.cut_after:
                    sock.sendall(manner.last_word)
                    return

    def _take(self, sock: socket.socket, came: tuple[bytes, Publish], manner: Manner) -> bool:
        """Note and acknowledge a publish; False over one that is hated."""
        identifier, publish = came
        hated = manner.hates(publish)
        with self._changed:
            (self.hated if hated else self.publishes).append(publish)
            self._changed.notify_all()
        if (
            not hated and identifier and manner.ack is not None
        ):  # not before it is noted: a sink may end with it
            reason = bytes([manner.ack]) + manner.ack_properties if publish.mqtt5 else b""
            sock.sendall(bytes([0x40, len(identifier + reason)]) + identifier + reason)
        return not hated


def _connack(manner: Manner, *, mqtt5: bool) -> bytes:
    answer = bytes([0, manner.code])
    if mqtt5:
        properties = manner.properties
        if manner.alias_maximum:
            properties += b"\x22" + manner.alias_maximum.to_bytes(2, "big")
        answer += bytes([len(properties)]) + properties
    return bytes([0x20, len(answer)]) + answer


def _publish(number: int, head: int, body: bytes, *, mqtt5: bool) -> tuple[bytes, Publish]:
    """A PUBLISH and its packet identifier, which is empty with QoS 0."""
    end = 2 + int.from_bytes(body[:2], "big")
    qos = head >> 1 & 3
    at = end + 2 if qos else end
    start = at + 1 + body[at] if mqtt5 else at
    properties = body[at + 1 : start] if mqtt5 else b""
    size = 1 + (1 if len(body) < 128 else 2 if len(body) < 16_384 else 3) + len(body)
    topic, dup, retain = body[2:end].decode(), bool(head & 8), bool(head & 1)
    return body[end:at], Publish(number, topic, body[start:], dup, properties, size, qos, retain, mqtt5)


def _read_packet(sock: socket.socket) -> tuple[int, bytes]:
    head = _read(sock, 1)[0]
    size = shift = 0
    while True:
        byte = _read(sock, 1)[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return head, _read(sock, size)


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
