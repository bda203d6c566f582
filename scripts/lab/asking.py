"""HTTP client that repeats one request with as little CPU as possible."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from framelane.measure.errors import BenchError
from framelane.measure.figures import Percentiles

_TIMEOUT_S = 30.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


@dataclass(frozen=True, slots=True)
class Target:
    """A complete request, and the address it goes to."""

    host: str
    port: int
    request: bytes

    @staticmethod
    def get(host: str, port: int, path: str) -> Target:
        """Return a request without a body."""
        return Target(host, port, f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())

    @staticmethod
    def post(host: str, port: int, path: str, media_type: str, body: bytes) -> Target:
        """Return a request with a body."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {media_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return Target(host, port, head.encode() + body)


@dataclass(frozen=True, slots=True)
class Asked:
    """The result: answers with status 200 per second, and how long each took."""

    rate: float
    took_ms: Percentiles | None


class Asker:
    """One connection, kept open; a context manager."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._socket = socket.create_connection((target.host, target.port), _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self) -> float:
        """Send the request; return the seconds until the complete answer.

        Raises:
            BenchError: the answer does not have status 200.
        """
        began_s = time.perf_counter()
        self._socket.sendall(self._target.request)
        answer = self._answer()
        took_s = time.perf_counter() - began_s
        if b" 200 " not in answer[:16]:
            raise BenchError(f"the daemon answers {answer[:200]!r}")
        return took_s

    def _answer(self) -> bytes:
        answer = b""
        while True:
            head, found, body = answer.partition(_HEAD_END)
            if found and len(body) >= _length(head):
                return answer
            more = self._socket.recv(65_536)
            if not more:
                raise BenchError(f"the daemon closed the connection after {answer[:200]!r}")
            answer += more


def ask_kept(target: Target, count: int) -> Percentiles | None:
    """Return how long answers take on one connection."""
    with Asker(target) as asker:
        asker.ask()
        return Percentiles.of_seconds([asker.ask() for _ in range(count)])


def ask_reconnecting(target: Target, count: int) -> Percentiles | None:
    """Return how long answers take with one connection each, connecting included."""
    return Percentiles.of_seconds([_once(target) for _ in range(count)])


def flood(target: Target, connections: int, seconds: float) -> Asked:
    """Ask as fast as answers arrive, on several connections at once; raise like `Asker.ask`."""
    ready = threading.Barrier(connections)

    def work() -> list[float]:
        with Asker(target) as asker:
            asker.ask()
            ready.wait(_TIMEOUT_S)
            until_s = time.perf_counter() + seconds
            took_s = []
            while time.perf_counter() < until_s:
                took_s.append(asker.ask())
            return took_s

    with ThreadPoolExecutor(connections) as pool:
        every = [each.result() for each in [pool.submit(work) for _ in range(connections)]]
    took_s = [each for one in every for each in one]
    # Per connection, because the last answer arrives some time after the end.
    return Asked(sum(len(one) / sum(one) for one in every if one), Percentiles.of_seconds(took_s))


def _once(target: Target) -> float:
    began_s = time.perf_counter()
    with Asker(target) as asker:
        asker.ask()
    return time.perf_counter() - began_s


def _length(head: bytes) -> int:
    """Return the body's length from the head; the daemon always sends it."""
    _, _, rest = head.lower().partition(_LENGTH)
    return int(rest.partition(b"\r\n")[0] or 0)
