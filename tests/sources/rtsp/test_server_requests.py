"""What a server asks while it plays: what it is answered, and what ends the stream."""

from __future__ import annotations

import pytest
from tests.sources.rtsp.scripted import SDP

from framelane.sources.rtsp.sdp import find_video
from framelane.sources.rtsp.server_requests import answer_request

DESCRIBED = find_video(SDP.encode())
ALLOW = "OPTIONS, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, REDIRECT, PLAY_NOTIFY, TEARDOWN"


def ask(method: str, headers: str = "", body: str = "") -> tuple[str, str | None]:
    """The answer, and the fault's text."""
    assert DESCRIBED is not None
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    message = f"{method} rtsp://cam/1 RTSP/1.0\r\nCSeq: 31\r\n{headers}{length}\r\n{body}"
    answer, fault = answer_request(message.encode(), DESCRIBED.video)
    assert fault is None or fault.reason == "lost"
    return answer.decode(), None if fault is None else str(fault)


@pytest.mark.parametrize(
    ("method", "headers", "body", "status", "more"),
    [
        ("OPTIONS", "", "", "200 OK", f"Public: {ALLOW}\r\n"),
        ("GET_PARAMETER", "Session: 7\r\n", "", "200 OK", "Session: 7\r\n"),
        ("GET_PARAMETER", "", "packets_received\r\n", "200 OK", ""),
        ("SET_PARAMETER", "", "", "200 OK", ""),
        ("SET_PARAMETER", "", "volume: 3\r\n", "451 Parameter Not Understood", f"Allow: {ALLOW}\r\n"),
        ("ANNOUNCE", "", SDP, "200 OK", ""),
        ("ANNOUNCE", "", "v=0\r\nm=audio 0 RTP/AVP 0\r\n", "200 OK", ""),
        ("PLAY_NOTIFY", "Notify-Reason: media-properties-update\r\n", "", "200 OK", ""),
        ("SETUP", "", "", "405 Method Not Allowed", f"Allow: {ALLOW}\r\n"),
        ("PLAY", "", "", "405 Method Not Allowed", f"Allow: {ALLOW}\r\n"),
        ("FROBNICATE", "", "", "501 Not Implemented", f"Allow: {ALLOW}\r\n"),
        ("OPTIONS", "Require: magic\r\n", "", "551 Option not supported", f"Public: {ALLOW}\r\n"),
    ],
)
def test_server_is_answered(method: str, headers: str, body: str, status: str, more: str) -> None:
    assert ask(method, headers, body) == (f"RTSP/1.0 {status}\r\nCSeq: 31\r\n{more}\r\n", None)


@pytest.mark.parametrize(
    ("method", "headers", "body", "text"),
    [
        (
            "REDIRECT",
            "Location: rtsp://other/1\r\n",
            "",
            "the server wants the stream to be opened again, perhaps elsewhere (REDIRECT)",
        ),
        ("TEARDOWN", "", "", "the server has ended the session (TEARDOWN)"),
        (
            "PLAY_NOTIFY",
            "Notify-Reason: End-of-Stream\r\n",
            "",
            "the server says that the stream has ended (PLAY_NOTIFY)",
        ),
        ("ANNOUNCE", "", SDP.replace("96", "97"), "the server announces another video (ANNOUNCE)"),
        ("ANNOUNCE", "", SDP.replace("H264", "H265"), "the server announces another video (ANNOUNCE)"),
        ("ANNOUNCE", "", SDP.replace("H264", "VP8"), "the server announces another video (ANNOUNCE)"),
        (
            "ANNOUNCE",
            "",
            SDP.replace("aMuMsg==", "aMuMsA=="),
            "the server announces another video (ANNOUNCE)",
        ),
    ],
)
def test_stream_is_opened_again(method: str, headers: str, body: str, text: str) -> None:
    assert ask(method, headers, body) == ("RTSP/1.0 200 OK\r\nCSeq: 31\r\n\r\n", text)


def test_what_the_server_names_can_not_add_a_header() -> None:
    answer, _ = ask("OPTIONS", "Session: 7\x0bEvil: 1\r\n")
    assert "Session: 7Evil: 1\r\n" in answer


@pytest.mark.parametrize("message", [b"", b"OPTIONS", b"RTSP/1.0 200 OK\r\n\r\n", b"\x00\xff\r\n\r\n"])
def test_nonsense_is_not_answered(message: bytes) -> None:
    assert DESCRIBED is not None
    answer, fault = answer_request(message, DESCRIBED.video)
    assert fault is None
    assert answer == b"" or answer.startswith(b"RTSP/1.0 501")
