"""Builds RTSP requests and splits a connection's bytes into answers (RFC 2326 sections 4, 6, 7, 10.12)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.sources.rtsp.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_HEAD_BYTES = 32 << 10
"""An answer to DESCRIBE usually has a few hundred bytes of headers."""
MOST_BODY_BYTES = 256 << 10
_MOST_KEPT_BYTES = 4 << 20
_DOLLAR = 0x24
_FRAME_HEAD_BYTES = 4
_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(r"\r?\n")
_FOLD = re.compile(r"\r?\n[ \t]+")
_STATUS_LINE = re.compile(rb"RTSP/\d\.\d[ \t]+(\d{3})(?!\d)")
_START = re.compile(rb"RTSP/\d\.\d[ \t]+\d{3}(?!\d)|[A-Z_]{1,20} [^\r\n]* RTSP/\d\.\d[ \t]*\r?\n")
_BEGIN_OF_START = re.compile(rb"R(T(S(P(/(\d(\.(\d([ \t]+\d{0,3})?)?)?)?)?)?)?)?|[A-Z_]{1,20}( [^\r\n]*\r?)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FIRST_STATUS = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's response.

    Attributes:
        status: the three digits as a number (RFC 2326 section 7.1.1).
        headers: lower-case names with values, in the order received.
        body: as many bytes as Content-Length says.
        words: the server's text for the status.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    words: str = ""

    def first(self, name: str) -> str:
        """Return the first header of this lower-case name; empty if there is none."""
        return next((value for known, value in self.headers if known == name), "")

    def every(self, name: str) -> list[str]:
        """Return all headers of this lower-case name."""
        return [value for known, value in self.headers if known == name]


@dataclass(frozen=True, slots=True)
class Request:
    """A server's request to us; headers and body as in an Answer."""

    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def first(self, name: str) -> str:
        """Return the first header of this lower-case name; empty if there is none."""
        return next((value for known, value in self.headers if known == name), "")


def build_request(method: str, uri: str, cseq: int, headers: Mapping[str, str]) -> bytes:
    """Build a request without a body. Empty headers and control characters in values are left out."""
    fields = {"CSeq": str(cseq), **headers}
    lines = [f"{method} {uri} RTSP/1.0"]
    lines += [f"{name}: {_CONTROL.sub('', value)}" for name, value in fields.items() if value]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def build_answer(status: int, reason: str, headers: Mapping[str, str]) -> bytes:
    """Build an answer without a body. Control characters in header values are left out."""
    lines = [f"RTSP/1.0 {status} {reason}"]
    lines += [f"{name}: {_CONTROL.sub('', value)}" for name, value in headers.items() if value]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def message_size(buffer: bytes | bytearray | memoryview) -> int | None:
    """Return the size of the first message in a buffer in bytes; None while it is incomplete.

    A message is an interleaved frame, an answer, a server's request, or one character of an empty line.

    Raises:
        MalformedError: the buffer begins with none of these, or the message exceeds the size limits.
    """
    if not buffer:
        return None
    if buffer[0] == _DOLLAR:
        size = _FRAME_HEAD_BYTES + int.from_bytes(buffer[2:4], "big")
        return size if len(buffer) >= max(size, _FRAME_HEAD_BYTES) else None
    if buffer[0] in b"\r\n":
        return 1
    window = bytes(buffer[:MOST_HEAD_BYTES])
    end = _END.search(window)
    if not _START.match(window) and (end or not _BEGIN_OF_START.fullmatch(window)):
        raise MalformedError("the data does not begin like RTSP")
    if end is None:
        if len(window) == MOST_HEAD_BYTES:
            raise MalformedError(f"the headers are longer than {MOST_HEAD_BYTES} bytes")
        return None
    size = end.end() + _body_bytes(_headers(window[: end.start()]))
    return size if len(buffer) >= size else None


def parse_answer(message: bytes) -> Answer:
    """Parse one whole answer.

    Raises:
        MalformedError: the message is not an answer.
    """
    start, end = _STATUS_LINE.match(message), _END.search(message)
    if start is None or end is None or int(start[1]) < _FIRST_STATUS:
        raise MalformedError("the message is not an RTSP answer")
    headers = _headers(message[: end.start()])
    words = message[start.end() :].partition(b"\n")[0].decode("utf-8", "replace").strip()
    return Answer(int(start[1]), headers, message[end.end() : end.end() + _body_bytes(headers)], words)


def parse_request(message: bytes) -> Request:
    """Parse one whole request.

    Raises:
        MalformedError: the message is not a request.
    """
    end = _END.search(message)
    if end is None or not _START.match(message):
        raise MalformedError("the message is not an RTSP request")
    headers = _headers(message[: end.start()])
    body = message[end.end() : end.end() + _body_bytes(headers)]
    return Request(message.split(b" ", 1)[0].decode("ascii", "replace"), headers, body)


class AnswerReader:
    """Buffers a connection's data and returns the answers in it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._frames = bytearray()
        self.keeps_frames = False
        """Whether interleaved frames are kept for `rest`.

        A camera may send the first before it answers PLAY.
        """

    def feed(self, data: bytes) -> None:
        """Add received data."""
        self._buffer += data

    def next(self) -> Answer | None:
        """Return the next whole answer, or None. Interleaved frames and the server's requests are skipped.

        Raises:
            MalformedError: the data is not RTSP.
        """
        while (size := message_size(self._buffer)) is not None:
            message = bytes(self._buffer[:size])
            del self._buffer[:size]
            if message[0] == _DOLLAR:
                if self.keeps_frames and len(self._frames) + size <= _MOST_KEPT_BYTES:
                    self._frames += message
            elif _STATUS_LINE.match(message):
                return parse_answer(message)
        return None

    def rest(self) -> bytes:
        """Return the kept frames and the data after the last answer."""
        return bytes(self._frames + self._buffer)


def _headers(head: bytes) -> tuple[tuple[str, str], ...]:
    text = _FOLD.sub(" ", head.decode("utf-8", "surrogateescape"))
    pairs = (line.partition(":") for line in _LINE_END.split(text)[1:])
    return tuple((name.strip().lower(), value.strip()) for name, colon, value in pairs if colon)


def _body_bytes(headers: tuple[tuple[str, str], ...]) -> int:
    value = next((value for name, value in headers if name == "content-length"), "0")
    if not (value.isascii() and value.isdigit() and len(value) < len(str(MOST_BODY_BYTES)) + 1):
        raise MalformedError("Content-Length is not a valid number")
    size = int(value)
    if size > MOST_BODY_BYTES:
        raise MalformedError(f"the body is longer than {MOST_BODY_BYTES} bytes")
    return size
