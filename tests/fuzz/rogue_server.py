"""An RTSP server that answers as it is told to, and afterwards passes on to one that works."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_S = 0.2
_MOST_REQUEST = 1 << 16


class Request(NamedTuple):
    """One request: its method, and the number that the answer must repeat."""

    method: str
    cseq: str


class Client:
    """One connection, as a behaviour sees it; every call ends with ConnectionError once the test is over."""

    def __init__(self, connection: socket.socket, over: threading.Event) -> None:
        self._connection = connection
        self._over = over
        self._read = b""

    def request(self) -> Request:
        """The next request."""
        while b"\r\n\r\n" not in self._read:
            self._receive()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        return Request(lines[0].split(" ")[0], headers.get("cseq", "0"))

    def send(self, data: bytes) -> None:
        """All of it, however slowly it is taken."""
        view = memoryview(data)
        while view:
            self._check()
            with suppress(TimeoutError):
                view = view[self._connection.send(view) :]

    def answer(self, request: Request, headers: str = "", body: str = "", status: str = "200 OK") -> None:
        """As RFC 2326 wants it."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.send(f"RTSP/1.0 {status}\r\nCSeq: {request.cseq}\r\n{headers}{length}\r\n{body}".encode())

    def packet(self, payload: bytes, channel: int = 0) -> None:
        """An interleaved one (RFC 2326 section 10.12)."""
        self.send(b"$" + bytes([channel]) + len(payload).to_bytes(2, "big") + payload)

    def set_up(self, sdp: str, description_s: float = 0.0) -> None:
        """All that comes before the first packet; the description takes this many seconds."""
        while True:
            request = self.request()
            if request.method == "DESCRIBE":
                self.pause(description_s)
                self.answer(request, "Content-Type: application/sdp\r\n", sdp)
            elif request.method == "SETUP":
                self.answer(
                    request, "Session: 7;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                )
            elif request.method == "PLAY":
                self.answer(request, "Session: 7\r\n")
                return
            else:
                self.answer(request, "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n")

    def pause(self, seconds: float) -> None:
        """Do nothing."""
        deadline_s = time.monotonic() + seconds
        while (left_s := deadline_s - time.monotonic()) > 0:
            self._check()
            self._over.wait(min(left_s, _READ_S))

    def relay(self, port: int) -> None:
        """Be a server that works from now on."""
        with socket.create_connection(("127.0.0.1", port)) as working:
            working.settimeout(_READ_S)
            back = threading.Thread(target=self._copy, args=(working, self._connection), daemon=True)
            back.start()
            self._copy(self._connection, working)
            back.join()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while not self._over.is_set():
                with suppress(TimeoutError):
                    data = source.recv(1 << 16)
                    if not data:
                        sink.shutdown(socket.SHUT_RDWR)
                        return
                    sink.settimeout(None)
                    sink.sendall(data)

    def _receive(self) -> None:
        self._check()
        with suppress(TimeoutError):
            data = self._connection.recv(1 << 16)
            self._read += data
            if not data or len(self._read) > _MOST_REQUEST:
                raise ConnectionError("the client has gone, or makes no sense")

    def _check(self) -> None:
        if self._over.is_set():
            raise ConnectionError("the test is over")


class RogueServer:
    """Listens on loopback: `with RogueServer(behave, port_of_a_server_that_works) as server: server.url`.

    Args:
        behave: what is done with connections until `reform` is called.
        working: where connections go after that.
    """

    def __init__(self, behave: Callable[[Client], None], working: int) -> None:
        self._behave = behave
        self._working = working
        self._over = threading.Event()
        self._reformed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_READ_S)
        self._threads: list[threading.Thread] = []
        self.connections = 0

    def __enter__(self) -> RogueServer:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def url(self, path: str) -> str:
        """Where a camera is to be looked for."""
        return f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/{path}"

    def reform(self) -> None:
        """Misbehave no more, in new connections."""
        self._reformed.set()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(_READ_S)
            client = Client(connection, self._over)
            if self._reformed.is_set():
                client.relay(self._working)
            else:
                self._behave(client)
