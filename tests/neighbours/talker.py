"""An RTSP client for tests that speaks by hand, to say what FFmpeg never would."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framelane.demo.rtsp import RtspServer


class Talker:
    """A client that speaks RTSP by hand."""

    def __init__(self, server: RtspServer, receive_bytes: int | None = None) -> None:
        self._socket = socket.socket()
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(5)
        self._socket.connect(("127.0.0.1", server.port))
        self._base = server.url("cam1")

    def __enter__(self) -> Talker:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def ask(
        self, method: str, path: str = "", headers: str = "CSeq: 1\r\n", version: str = "RTSP/1.0"
    ) -> str:
        self.send(f"{method} {self._base}{path} {version}\r\n{headers}\r\n".encode())
        return self._socket.recv(4096).decode("latin-1")

    def status(
        self, method: str, path: str = "", headers: str = "CSeq: 1\r\n", version: str = "RTSP/1.0"
    ) -> int:
        return int(self.ask(method, path, headers, version).split(" ")[1])

    def set_up(self) -> str:
        """Set up interleaved delivery and return the session id."""
        answer = self.ask("SETUP", "/trackID=0", "CSeq: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n")
        return answer.partition("Session: ")[2].partition(";")[0]

    def is_cut(self) -> bool:
        """Read until the server ends the connection. Raises `TimeoutError`."""
        try:
            while self._socket.recv(65_536):
                pass
        except ConnectionError:
            return True
        return True
