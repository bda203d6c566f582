"""RTSP requests and responses as text, split from a connection's bytes (RFC 2326 4, 6, 7, 10.12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VERSION = "RTSP/1.0"
MAX_MESSAGE_BYTES = 16_384
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "RTSP Version Not Supported",
    551: "Option not supported",
}


class MalformedError(ValueError):
    """Bytes that are not an RTSP message."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case."""

    method: str
    uri: str
    version: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The camera's path: no slashes at the ends, no track, percent-decoded."""
        path = unquote(urlsplit(self.uri).path).strip("/")
        head, _, last = path.rpartition("/")
        return head if last.lower().startswith("trackid=") else path


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; `headers` follow CSeq in the given order."""

    status: int
    headers: Mapping[str, str]
    body: str = ""

    def encode(self, cseq: str) -> bytes:
        """Return the bytes for the wire."""
        lines = [f"{VERSION} {self.status} {REASONS[self.status]}", f"CSeq: {cseq}", "Server: framelane-demo"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        body = self.body.encode()
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class MessageReader:
    """Splits received bytes into requests; interleaved client packets (receiver reports) are skipped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Request]:
        """Yield the requests that `data` completes. Raise `MalformedError`."""
        self._buffer += data
        while self._buffer:
            if self._buffer[0] == ord("$"):
                size = 4 + int.from_bytes(self._buffer[2:4], "big")
                if len(self._buffer) < max(4, size):
                    return
                del self._buffer[:size]
                continue
            request = self._take_request()
            if request is None:
                return
            yield request

    def _take_request(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_MESSAGE_BYTES:
                raise MalformedError("a request header is longer than 16 KiB")
            return None
        request = parse_request(bytes(self._buffer[:end]))
        size = end + 4 + _content_length(request)
        if len(self._buffer) < size:
            return None
        del self._buffer[:size]
        return request


def parse_request(head: bytes) -> Request:
    """Parse a request's start line and headers. Raise `MalformedError`."""
    try:
        first, *rest = head.decode("utf-8").strip().split("\r\n")
        method, uri, version = first.split(" ")
        pairs = [line.split(":", 1) for line in rest if line]
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        urlsplit(uri)
    except ValueError as error:
        raise MalformedError("a request is not of the form 'METHOD uri RTSP/1.0'") from error
    return Request(method, uri, version, headers)


def _content_length(request: Request) -> int:
    value = request.headers.get("content-length", "0")
    if not value.isdigit() or int(value) > MAX_MESSAGE_BYTES:
        raise MalformedError("Content-Length is no number up to 16 KiB")
    return int(value)
