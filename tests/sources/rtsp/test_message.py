"""Bytes as they come: in pieces, and not always RTSP."""

from __future__ import annotations

import pytest
from tests.sources.rtsp.scripted import frame

from framelane.sources.rtsp.errors import MalformedError
from framelane.sources.rtsp.message import (
    MOST_HEAD_BYTES,
    Answer,
    AnswerReader,
    build_request,
    message_size,
    parse_answer,
)

WHOLE = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nWWW-Authenticate: a\r\nwww-authenticate: b\r\nContent-Length: 4\r\n\r\nbody"


def test_answer_is_the_same_when_it_comes_byte_by_byte() -> None:
    stream = (
        frame(1, b"RTSP/1.0")
        + b"\r\nSET_PARAMETER * RTSP/1.0\r\nContent-Length: 3\r\n\r\nabc"
        + WHOLE
        + b"$\x00"
    )
    reader = AnswerReader()
    found = []
    for byte in stream:
        reader.feed(bytes([byte]))
        answer = reader.next()
        if answer is not None:
            found.append(answer)
    assert [(one.status, one.body, one.first("cseq")) for one in found] == [(200, b"body", "3")]
    assert found[0].every("www-authenticate") == ["a", "b"]
    assert found[0].first("session") == ""
    assert reader.rest() == b"$\x00"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00",
        b"rtsp/1.0 200 OK",
        b"HTTP/1.0 200 OK",
        b"RTSP/1.0 abc\r\n\r\n",
        b"RTSP/1.0 2000\r\n",
        b"RTSP/1,0",
        b"A" * 21,
        b"GET / HTTP/1.1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n" + b"a" * MOST_HEAD_BYTES,
        b"RTSP/1.0 200 OK\r\nContent-Length: x\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 262145\r\n\r\n",
    ],
)
def test_size_is_an_error_when_what_comes_is_garbage(garbage: bytes) -> None:
    with pytest.raises(MalformedError):
        message_size(garbage)


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_size_is_unknown_as_long_as_the_message_is_not_whole(end: int) -> None:
    assert message_size(WHOLE[:end]) is None
    assert message_size(WHOLE + b"more") == len(WHOLE)


def test_answer_is_an_error_when_it_is_a_request_or_cut() -> None:
    for message in (b"OPTIONS * RTSP/1.0\r\n\r\n", b"RTSP/1.0 200 OK\r\n", b"RTSP/1.0 099 No\r\n\r\n"):
        with pytest.raises(MalformedError):
            parse_answer(message)
    assert parse_answer(b"RTSP/1.0 200\n\n") == Answer(200, ())


def test_request_holds_no_line_end_when_a_value_does() -> None:
    request = build_request("PLAY", "rtsp://h/", 7, {"Session": "1\r\nX: y", "Range": ""})
    assert request == b"PLAY rtsp://h/ RTSP/1.0\r\nCSeq: 7\r\nSession: 1X: y\r\n\r\n"
