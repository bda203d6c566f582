"""Requests and answers over a socket pair: the camera's side is written beforehand."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.sources.rtsp.auth import Credentials, Login
from framelane.sources.rtsp.connection import Connection
from framelane.sources.rtsp.deadline import Deadline
from framelane.sources.rtsp.errors import ConfusedError, HungUpError
from framelane.sources.rtsp.exchange import USER_AGENT, Exchange, Requests

if TYPE_CHECKING:
    from collections.abc import Iterator

URI = "rtsp://cam/stream"
OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"


def refusal(nonce: int, *, stale: bool = True, more: str = "") -> bytes:
    challenge = f'Digest realm="r", nonce="{nonce}", stale={stale}'
    return f"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n{more}\r\n".encode()


class Talk:
    """An exchange and the other end of its connection."""

    def __init__(self, camera: socket.socket, sock: socket.socket, silence_s: float) -> None:
        self.camera = camera
        self.login = Login(Credentials("user", "secret"))
        self.stopping = threading.Event()
        clock = SystemClock()
        deadline = Deadline(clock, self.stopping, clock.monotonic() + 5.0, silence_s)
        self.exchange = Exchange(Connection(sock), self.login, deadline)

    def ask(self, *said: bytes, ends: bool = False) -> int:
        """Ask after the camera has said this; return the status of the answer."""
        self.camera.sendall(b"".join(said))
        if ends:
            self.camera.shutdown(socket.SHUT_WR)
        return self.exchange.ask("DESCRIBE", URI, {"Accept": "application/sdp"}).status

    @property
    def requests(self) -> list[list[str]]:
        """The lines of the requests that came."""
        self.exchange.connection.close()
        data = b""
        while chunk := self.camera.recv(65536):
            data += chunk
        return [each.split("\r\n") for each in data.decode().split("\r\n\r\n")[:-1]]


@contextmanager
def talking(silence_s: float = 5.0) -> Iterator[Talk]:
    camera, sock = socket.socketpair()
    with camera, sock:
        sock.setblocking(False)  # noqa: FBT003 - of the standard library
        yield Talk(camera, sock, silence_s)


def test_requests_are_numbered_and_name_the_client() -> None:
    requests = Requests(Login(None))
    first, second = (requests.build(method, URI, {"Session": "7"}) for method in ("SETUP", "PLAY"))
    lines = [f"CSeq: 1\r\nUser-Agent: {USER_AGENT}\r\nSession: 7", "", ""]
    assert f"SETUP {URI} RTSP/1.0\r\n" + "\r\n".join(lines) == first.decode()
    assert second.startswith(f"PLAY {URI} RTSP/1.0\r\nCSeq: 2\r\n".encode())


def test_ask_returns_the_answer_whatever_its_status() -> None:
    with talking() as talk:
        assert talk.ask(b"RTSP/1.0 404 Not Found\r\n\r\n") == 404
        assert talk.requests == [
            [f"DESCRIBE {URI} RTSP/1.0", "CSeq: 1", f"User-Agent: {USER_AGENT}", "Accept: application/sdp"]
        ]


def test_ask_waits_for_the_final_answer_when_provisional_ones_come() -> None:
    with talking() as talk:
        assert talk.ask(b"RTSP/1.0 100 Continue\r\n\r\n", b"$\0\0\2ab", OK) == 200


def test_ask_logs_in_when_it_is_asked_to() -> None:
    with talking() as talk:
        assert talk.ask(refusal(1), OK) == 200
        first, second = talk.requests
        assert not any(line.startswith("Authorization") for line in first)
        assert sum(line.startswith('Authorization: Digest username="user"') for line in second) == 1
        assert second[1] == "CSeq: 2"


def test_ask_tries_three_times_when_each_nonce_is_stale() -> None:
    with talking() as talk:
        assert talk.ask(*(refusal(number) for number in range(3))) == 401
        assert len(talk.requests) == 3


def test_ask_tries_a_password_once_when_it_is_wrong() -> None:
    with talking() as talk:
        assert talk.ask(refusal(1), refusal(2, stale=False)) == 401
        assert len(talk.requests) == 2


def test_ask_gives_up_at_once_when_no_login_is_known() -> None:
    with talking() as talk:
        assert talk.ask(b"RTSP/1.0 401 No\r\nWWW-Authenticate: NTLM\r\n\r\n") == 401
        assert (talk.login.unknown, len(talk.requests)) == (("NTLM",), 1)


def test_ask_hangs_up_when_the_server_announces_it_with_its_challenge() -> None:
    with talking() as talk, pytest.raises(HungUpError):
        talk.ask(refusal(1, more="Connection: Close\r\n"))


def test_ask_hangs_up_when_the_server_ends_after_its_challenge() -> None:
    with talking() as talk, pytest.raises(HungUpError):
        talk.ask(refusal(1), ends=True)


@pytest.mark.parametrize(
    ("said", "reason"),
    [([], "lost"), ([b"RTSP/1.0 200 OK\r\n"], "lost"), ([b"HTTP/1.1 200 OK\r\n\r\n"], "invalid")],
)
def test_ask_raises_when_no_answer_comes(said: list[bytes], reason: str) -> None:
    with talking() as talk:
        with pytest.raises(SourceError) as caught:
            talk.ask(*said, ends=True)
        assert reason == caught.value.reason
        assert isinstance(caught.value, ConfusedError) is (reason == "invalid")


def test_ask_raises_when_the_server_is_silent() -> None:
    with talking(silence_s=0.01) as talk:
        with pytest.raises(SourceError) as caught:
            talk.ask()
        assert (caught.value.reason, str(caught.value)) == (
            "timeout",
            "the other side accepts the connection and does not answer",
        )


def test_ask_raises_when_the_stream_is_to_stop() -> None:
    with talking() as talk:
        talk.stopping.set()
        with pytest.raises(SourceError) as caught:
            talk.ask()
        assert caught.value.reason == "closed"
