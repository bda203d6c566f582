"""Builds RTSP requests and cuts a connection's bytes into answers (RFC 2326 sections 4, 6, 7, 10.12)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.sources.rtsp.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_HEAD_BYTES = 32 << 10
"""A server's answer to DESCRIBE has a few hundred."""
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
        status: its three digits as a number (RFC 2326 section 7.1.1).
        headers: names in lower case, and values, in the order in which they came.
        body: as many bytes as Content-Length says.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def first(self, name: str) -> str:
        """The first header of this (lower case) name; empty where there is none."""
        return next((value for known, value in self.headers if known == name), "")

    def every(self, name: str) -> list[str]:
        """All headers of this (lower case) name."""
        return [value for known, value in self.headers if known == name]


def build_request(method: str, uri: str, cseq: int, headers: Mapping[str, str]) -> bytes:
    """A request without a body. Empty headers are left out, and so are control characters in values."""
    fields = {"CSeq": str(cseq), **headers}
    lines = [f"{method} {uri} RTSP/1.0"]
    lines += [f"{name}: {_CONTROL.sub('', value)}" for name, value in fields.items() if value]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def message_size(buffer: bytes | bytearray | memoryview) -> int | None:
    """How many bytes the first message in a buffer takes; None as long as it is not whole.

    A message is an interleaved frame, an answer, a request of the server's, or one character of an empty line.

    Raises:
        MalformedError: it is none of these, or larger than any sensible one.
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
        raise MalformedError("what came does not begin as RTSP does")
    if end is None:
        if len(window) == MOST_HEAD_BYTES:
            raise MalformedError(f"the headers are longer than {MOST_HEAD_BYTES} bytes")
        return None
    size = end.end() + _body_bytes(_headers(window[: end.start()]))
    return size if len(buffer) >= size else None


def parse_answer(message: bytes) -> Answer:
    """Parse one whole answer.

    Raises:
        MalformedError: it is none.
    """
    start, end = _STATUS_LINE.match(message), _END.search(message)
    if start is None or end is None or int(start[1]) < _FIRST_STATUS:
        raise MalformedError("what came is no answer")
    headers = _headers(message[: end.start()])
    return Answer(int(start[1]), headers, message[end.end() : end.end() + _body_bytes(headers)])


class AnswerReader:
    """Collects what comes on a connection, and gives out the answers in it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._frames = bytearray()
        self.keeps_frames = False
        """Whether interleaved frames are kept for `rest`; a camera may send the first before it answers PLAY."""

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self._buffer += data

    def next(self) -> Answer | None:
        """The next answer; None as long as none is whole. Interleaved frames and server's requests are skipped.

        Raises:
            MalformedError: what came is no RTSP.
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
        """The frames that were kept, and what came after the last answer."""
        return bytes(self._frames + self._buffer)


def _headers(head: bytes) -> tuple[tuple[str, str], ...]:
    text = _FOLD.sub(" ", head.decode("utf-8", "surrogateescape"))
    pairs = (line.partition(":") for line in _LINE_END.split(text)[1:])
    return tuple((name.strip().lower(), value.strip()) for name, colon, value in pairs if colon)


def _body_bytes(headers: tuple[tuple[str, str], ...]) -> int:
    value = next((value for name, value in headers if name == "content-length"), "0")
    if not (value.isascii() and value.isdigit() and len(value) < len(str(MOST_BODY_BYTES)) + 1):
        raise MalformedError("Content-Length is no sensible number")
    size = int(value)
    if size > MOST_BODY_BYTES:
        raise MalformedError(f"the body is longer than {MOST_BODY_BYTES} bytes")
    return size
