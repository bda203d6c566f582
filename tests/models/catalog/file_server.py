"""A web server on loopback that holds one file, and does what servers and proxies on the way do to downloads."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

CONTENT = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behavior:
    """How the server answers; a test may change it between two requests.

    Attributes:
        content: the file.
        etag: its ETag; empty for none.
        modified: its Last-Modified; empty for none.
        ranges: whether it serves parts.
        checks_range: whether it looks at If-Range.
        cuts: for each coming answer, after how many bytes the connection ends; 0 for never.
        answers: for each coming request a status instead of the file, or None.
        headers: more headers of each answer.
        redirects: path to URL.
        login: the Authorization that it wants.
        on_chunk: called after each chunk.
        shift: how many bytes too late a part begins.
        says_length: whether there is a Content-Length; else the end of the connection ends the file.
    """

    content: bytes = b""
    etag: str = '"1"'
    modified: str = ""
    ranges: bool = True
    checks_range: bool = True
    cuts: list[int] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    login: str = ""
    on_chunk: Callable[[], None] = lambda: None
    shift: int = 0
    says_length: bool = True


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]


class FileServer:
    """`with FileServer(b"...") as server:` listens at `server.url`; `server.asked` has all requests."""

    def __init__(self, content: bytes = b"", tls: ssl.SSLContext | None = None) -> None:
        self.does = Behavior(content)
        self.asked: list[Asked] = []
        self._server = _Listener(self)
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> FileServer:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        """Host and port."""
        return (
            f"localhost:{self._server.server_port}"
            if self._scheme == "https"
            else f"127.0.0.1:{self._server.server_port}"
        )

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"{self._scheme}://{self.host}/m.onnx"


class _Listener(ThreadingHTTPServer):
    def __init__(self, owner: FileServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        does = self.server.owner.does
        self.server.owner.asked.append(
            Asked(self.path, {key.lower(): value for key, value in self.headers.items()})
        )
        status = does.answers.pop(0) if does.answers else None
        path = self.path.partition("?")[0]
        if path in does.redirects:
            self._refuse(302, {"Location": does.redirects[path]})
        elif does.login and self.headers.get("Authorization") != does.login:
            self._refuse(401, {})
        elif status is not None:
            self._refuse(status, {})
        else:
            self._send(does)

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(key, value)
        self.end_headers()

    def _send(self, does: Behavior) -> None:
        content, first = does.content, self._first(does)
        if first >= len(content) > 0:
            self._refuse(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response(206 if first else 200)
        if does.etag:
            self.send_header("ETag", does.etag)
        if does.modified:
            self.send_header("Last-Modified", does.modified)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        for key, value in does.headers.items():
            self.send_header(key, value)
        rest = content[first:]
        if does.says_length:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        cut = does.cuts.pop(0) if does.cuts else 0
        self._write(rest[: cut or None], does)
        self.close_connection = True

    def _write(self, content: bytes, does: Behavior) -> None:
        for start in range(0, len(content), 4096):
            try:
                self.wfile.write(content[start : start + 4096])
            except OSError:
                return
            does.on_chunk()

    def _first(self, does: Behavior) -> int:
        wanted = self.headers.get("Range", "")
        known = self.headers.get("If-Range", "") in ("", does.etag, does.modified)
        if not wanted or not does.ranges or (does.checks_range and not known):
            return 0
        return int(wanted.removeprefix("bytes=").rstrip("-")) + does.shift
