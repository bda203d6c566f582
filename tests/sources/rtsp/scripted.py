"""An RTSP server that answers each method as a test wants, and remembers what it was asked."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    Reply = Callable[["Request"], bytes | None]

_LOOK_S = 0.05
CLOSE = b"(and the connection is closed)"
"""At the end of a reply."""
SPROP = "Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg=="
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=scripted\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    f"a=fmtp:96 packetization-mode=1; sprop-parameter-sets={SPROP}\r\n"
    "a=framerate:12.5\r\na=control:trackID=0\r\n"
)


class Request(NamedTuple):
    """One request; header names are lower case."""

    method: str
    uri: str
    headers: dict[str, str]


def answer(request: Request, headers: str = "", body: str = "", status: str = "200 OK") -> bytes:
    """A proper answer; `headers` are lines that end."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"RTSP/1.0 {status}\r\nCSeq: {request.headers['cseq']}\r\n{headers}{length}\r\n{body}".encode()


def always(headers: str = "", body: str = "", status: str = "200 OK") -> Reply:
    """The same answer to each request."""
    return lambda request: answer(request, headers, body, status)


def frame(channel: int, payload: bytes) -> bytes:
    """An interleaved one (RFC 2326 section 10.12)."""
    return b"$" + bytes([channel]) + len(payload).to_bytes(2, "big") + payload


PROPER: dict[str, Reply] = {
    "OPTIONS": always("Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER\r\n"),
    "DESCRIBE": always("Content-Type: application/sdp\r\n", SDP),
    "SETUP": always("Session: 7;timeout=20\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
    "PLAY": always("Session: 7\r\n"),
    "GET_PARAMETER": always(),
    "TEARDOWN": always(),
}


class ScriptedServer:
    """Listens on loopback: `with ScriptedServer(DESCRIBE=...) as server: server.url()`.

    A reply of None closes the connection, so does CLOSE at its end; an empty one is silence.
    With `tls` it speaks RTSPS.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        *,
        replies: Mapping[str, Reply] | None = None,
        tls: ssl.SSLContext | None = None,
        **more: Reply,
    ) -> None:
        self._tls = tls
        self._over = threading.Event()
        self._replies: Mapping[str, Reply] = {**PROPER, **(replies or {}), **more}
        self._host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._changed = threading.Condition()
        self.requests: list[Request] = []

    def __enter__(self) -> ScriptedServer:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for sock in (self._listener, *self._connections):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def connections(self) -> int:
        """How many have been made."""
        return len(self._connections)

    @property
    def place(self) -> str:
        """Host and port, as a URL has them."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._listener.getsockname()[1]}"

    def url(self, path: str = "cam", login: str = "") -> str:
        """Where the stream is."""
        scheme = "rtsp" if self._tls is None else "rtsps"
        return f"{scheme}://{login}{self.place}/{path}"

    def asked(self, method: str) -> list[Request]:
        """The requests of a method so far."""
        return [request for request in self.requests if request.method == method]

    def wait_for(self, method: str, count: int = 1) -> None:
        """Wait until a method was asked that many times."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked(method)) >= count, 5.0), method

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self._start(self._serve, connection)

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        try:
            secured.settimeout(5.0)
            secured.do_handshake()
            secured.settimeout(_LOOK_S)
        except OSError:
            secured.close()
            raise
        return secured

    def _receive(self, connection: socket.socket) -> bytes:
        while not self._over.is_set():
            with suppress(TimeoutError):  # which only TLS has
                return connection.recv(1 << 16)
        return b""

    def _serve(self, accepted: socket.socket) -> None:
        received = b""
        with suppress(OSError), self._secured(accepted) as connection:
            while data := self._receive(connection):
                received = _behind_reports(received + data)
                while b"\r\n\r\n" in received:
                    head, _, received = received.partition(b"\r\n\r\n")
                    request = _parse(head)
                    with self._changed:
                        self.requests.append(request)
                        self._changed.notify_all()
                    reply = self._replies[request.method](request)
                    if reply is None:
                        return
                    connection.sendall(reply.removesuffix(CLOSE))
                    if reply.endswith(CLOSE):
                        return


def _behind_reports(data: bytes) -> bytes:
    """What comes behind interleaved reports, of which the client sends some."""
    while data.startswith(b"$") and len(data) >= 4 + int.from_bytes(data[2:4], "big"):
        data = data[4 + int.from_bytes(data[2:4], "big") :]
    return data


def _parse(head: bytes) -> Request:
    first, *lines = head.decode().split("\r\n")
    method, uri, _ = first.split(" ")
    return Request(
        method, uri, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    )
