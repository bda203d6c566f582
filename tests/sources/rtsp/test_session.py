"""A session after PLAY: how it is kept alive, what its answers mean, and how it ends."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from framelane.sources.rtsp.auth import Credentials, Login
from framelane.sources.rtsp.connection import Connection
from framelane.sources.rtsp.exchange import Requests
from framelane.sources.rtsp.sdp import VideoMedia
from framelane.sources.rtsp.session import Session, SessionTerms, parse_session
from framelane.sources.rtsp.transport import Interleaving

if TYPE_CHECKING:
    from collections.abc import Iterator

URI = "rtsp://cam/stream"
MEDIA = VideoMedia("h264", 96, 90_000, b"", None)


class Ends:
    """A playing session, and the camera's end of its connection."""

    def __init__(self, *public: str, timeout_s: float = 60.0) -> None:
        self.camera, ours = socket.socketpair()
        ours.settimeout(0.0)
        self.camera.settimeout(10)
        connection = Connection(ours)
        terms = SessionTerms("7", timeout_s, URI, frozenset(public))
        self.login = Login(Credentials("user", "secret"))
        requests = Requests(self.login)
        self.session = Session(connection, Interleaving(connection), MEDIA, terms, requests, b"")

    def heard(self) -> bytes:
        """All that the camera has heard once the connection has ended."""
        data = b""
        while more := self.camera.recv(65536):
            data += more
        return data

    def close(self) -> None:
        self.session.close()
        self.camera.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with closing(Ends("GET_PARAMETER", "OPTIONS")) as made:
        yield made


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("12345678", ("12345678", 60.0)),
        ("12345678;timeout=30", ("12345678", 30.0)),
        ("abc ; Timeout = 5 ", ("abc", 5.0)),
        ("abc;timeout=0", ("abc", 60.0)),
        ("abc;timeout=soon", ("abc", 60.0)),
        ("", ("", 60.0)),
    ],
)
def test_session_header_has_a_name_and_perhaps_a_timeout(header: str, expected: tuple[str, float]) -> None:
    assert parse_session(header) == expected


@pytest.mark.parametrize(("timeout_s", "expected"), [(60.0, 30.0), (10.0, 5.0), (0.5, 1.0), (3600.0, 30.0)])
def test_session_is_kept_alive_twice_per_timeout_within_limits(timeout_s: float, expected: float) -> None:
    with closing(Ends(timeout_s=timeout_s)) as ends:
        assert ends.session.keep_alive_s == expected


@pytest.mark.parametrize(
    ("public", "method"),
    [((), b"OPTIONS"), (("OPTIONS", "GET_PARAMETER"), b"GET_PARAMETER"), (("SET_PARAMETER",), b"OPTIONS")],
)
def test_keep_alive_uses_what_the_server_lists(public: tuple[str, ...], method: bytes) -> None:
    with closing(Ends(*public)) as ends:
        request = ends.session.keep_alive()
    assert request.startswith(method + b" rtsp://cam/stream RTSP/1.0\r\n")
    assert b"Session: 7\r\n" in request


def test_method_that_is_listed_and_then_refused_is_used_no_more(ends: Ends) -> None:
    assert not ends.session.take_answer(b"RTSP/1.0 501 Not Implemented\r\nCSeq: 1\r\n\r\n")
    assert ends.session.keep_alive().startswith(b"OPTIONS ")


def test_newer_nonce_is_used_at_once_and_only_once_in_a_row(ends: Ends) -> None:
    """A server that refuses every login must not be asked in a loop."""
    challenge = (
        b'RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm="r", nonce="%d", stale=true\r\n\r\n'
    )
    assert ends.session.take_answer(challenge % 1)
    assert b'nonce="1"' in ends.session.keep_alive()
    assert not ends.session.take_answer(challenge % 2)
    assert not ends.session.take_answer(b"RTSP/1.0 200 OK\r\n\r\n")
    assert ends.session.take_answer(challenge % 3)


def test_answer_that_is_none_changes_nothing(ends: Ends) -> None:
    assert not ends.session.take_answer(b"HELLO\r\n\r\n")
    assert ends.session.keep_alive().startswith(b"GET_PARAMETER ")


def test_requests_are_numbered(ends: Ends) -> None:
    numbers = [ends.session.keep_alive().partition(b"CSeq: ")[2].partition(b"\r")[0] for _ in range(3)]
    assert numbers == [b"1", b"2", b"3"]


def test_camera_is_told_of_the_end_once(ends: Ends) -> None:
    ends.session.close()
    ends.session.close()
    heard = ends.heard()
    assert heard.count(b"TEARDOWN rtsp://cam/stream RTSP/1.0\r\n") == 1
    assert b"Session: 7\r\n" in heard
