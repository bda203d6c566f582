"""A broker that does what a real one can't be told to do: stay silent, acknowledge nothing, refuse, cut off."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 0x10, 0x30, 0x80, 0xC0, 0xE0


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
        last_word: sent before it is closed.
    """

    accept: bool = True
    code: int = 0
    properties: bytes = b""
    alias_maximum: int = 0
    ack: int | None = 0
    suback: bytes = b""
    cut_after: int | None = None
    last_word: bytes = b""


@dataclass
class Publish:
    """A PUBLISH packet as it came."""

    connection: int
    topic: str
    payload: bytes
    dup: bool
    properties: bytes
    size: int

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
    """Speaks as much MQTT 5 as the tests need; each connection is treated in the next manner, the last for ever."""

    manners: Sequence[Manner]
    publishes: list[Publish] = field(default_factory=list)
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
        published = 0
        while True:
            head, body = _read_packet(sock)
            kind = head & 0xF0
            if kind == CONNECT and manner.accept:
                properties = manner.properties
                if manner.alias_maximum:
                    properties += b"\x22" + manner.alias_maximum.to_bytes(2, "big")
                answer = bytes([0, manner.code, len(properties)]) + properties
                sock.sendall(bytes([0x20, len(answer)]) + answer)
            elif kind == SUBSCRIBE:
                answer = body[:2] + b"\0" + manner.suback
                sock.sendall(bytes([0x90, len(answer)]) + answer)
            elif kind == PINGREQ:
                sock.sendall(b"\xd0\x00")
            elif kind == DISCONNECT:
                self.disconnects += 1
                return
            elif kind == PUBLISH:
                self._note(number, head, body, sock, manner.ack)
                published += 1
                if published == manner.cut_after:
                    sock.sendall(manner.last_word)
                    return

    def _note(self, number: int, head: int, body: bytes, sock: socket.socket, ack: int | None) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        at = end + 2 if head & 0x06 else end
        properties, payload = body[at + 1 : at + 1 + body[at]], body[at + 1 + body[at] :]
        with self._changed:
            dup = bool(head & 0x08)
            self.publishes.append(Publish(number, body[2:end].decode(), payload, dup, properties, len(body)))
            self._changed.notify_all()
        if at > end and ack is not None:  # not before it is noted, for a sink may end with the last one
            sock.sendall(b"\x40\x03" + body[end:at] + bytes([ack]))


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
