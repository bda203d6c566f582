"""Logging in: our own cameras, and servers with the challenges that they don't make."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.sources.conftest import PASSWORD
from tests.sources.rtsp.scripted import PROPER, ScriptedServer, answer

from framelane.core.errors import SourceError
from framelane.sources.rtsp.client import Session, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sources.rtsp.conftest import Open
    from tests.sources.rtsp.scripted import Request

    from framelane.demo.rtsp import RtspServer

USER, SECRET, LOGIN = 'ad"min', "mel:l@n", "ad%22min:mel%3Al%40n@"
UNAUTHORIZED = (
    "the camera refuses the user name or password (Server returned 401 Unauthorized (authorization failed))"
)
_FIELD = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^,\s]+))')


class Gate:
    """Lets requests pass that answer its challenge, by RFC 7616 section 3.4."""

    def __init__(self, challenge: str, hashes: str = "md5", *, session: bool = False) -> None:
        self.challenge = challenge
        self.nonce = "first"
        self.stale = ""
        self._hashes = hashes
        self._session = session
        self.counts: list[str] = []

    def __call__(self, request: Request) -> bytes | None:
        if self._passes(request):
            return PROPER[request.method](request)
        header = self.challenge.replace("NONCE", self.nonce) + self.stale
        return answer(request, f"{header}\r\n", status="401 Unauthorized")

    def _passes(self, request: Request) -> bool:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        given = {m[1]: re.sub(r"\\(.)", r"\1", m[2]) if m[3] is None else m[3] for m in _FIELD.finditer(text)}
        if scheme != "Digest" or given["nonce"] != self.nonce or given["uri"] != request.uri:
            return False
        secret = self._hash(f"{USER}:r,1:{SECRET}")
        if self._session:
            secret = self._hash(f"{secret}:{self.nonce}:{given['cnonce']}")
        proof = f":{given['nc']}:{given['cnonce']}:auth" if "qop" in given else ""
        self.counts.append(given.get("nc", ""))
        expected = self._hash(f"{secret}:{self.nonce}{proof}:{self._hash(f'{request.method}:{request.uri}')}")
        opaque = re.search('opaque="(.*?)"', self.challenge)
        return given["response"] == expected and (opaque is None or given["opaque"] == opaque[1])

    def _hash(self, text: str) -> str:
        return hashlib.new(self._hashes, text.encode()).hexdigest()

    def server(self) -> ScriptedServer:
        """One that has this gate before all but OPTIONS."""
        methods = ("DESCRIBE", "SETUP", "PLAY", "GET_PARAMETER")
        return ScriptedServer(replies=dict.fromkeys(methods, self))


PLAIN = 'WWW-Authenticate: Digest realm="r,1", nonce="NONCE"'
STRONG = (
    'WWW-Authenticate: Digest realm="r,1", nonce="NONCE", algorithm=SHA-256, qop="auth,auth-int", opaque="o="'
)


@pytest.mark.parametrize(
    "gate",
    [
        lambda: Gate(PLAIN),
        lambda: Gate(f"{PLAIN}, algorithm=MD5"),
        lambda: Gate(f'{PLAIN}, qop="auth"'),
        lambda: Gate(f"{PLAIN}, qop=auth, algorithm=MD5-sess", session=True),
        lambda: Gate(f"{PLAIN}, algorithm=MD5-sess", session=True),
        lambda: Gate(STRONG, "sha256"),
        lambda: Gate(f'WWW-Authenticate: Basic realm="b"\r\n{PLAIN}\r\n{STRONG}', "sha256"),
        lambda: Gate(f'{STRONG}, Basic realm="b", {PLAIN.partition(": ")[2]}', "sha256"),
        lambda: Gate(f'WWW-Authenticate: Digest nonce="x", algorithm=SHA-512, realm="y"\r\n{PLAIN}'),
    ],
)
def test_session_logs_in_when_the_challenge_is_a_digest(opens: Open, gate: Callable[[], Gate]) -> None:
    guard = gate()
    with guard.server() as server:
        session = opens(server.url(login=LOGIN))
        assert session.media.codec == "h264"
        assert [one.headers.get("authorization") for one in server.requests[:2]] == [None, None]
        assert len(server.requests) == 5
        assert all(LOGIN not in one.uri for one in server.requests)
        if "qop" in guard.challenge:
            assert guard.counts == ["00000001", "00000002", "00000003"]


def test_session_uses_a_new_nonce_when_the_old_one_is_stale(opens: Open) -> None:
    gate = Gate(PLAIN)

    def play(request: Request) -> bytes | None:
        if gate.nonce == "first":
            gate.nonce, gate.stale = "second", ", stale=TRUE"
        return gate(request)

    with gate.server() as server:
        server._replies = {**server._replies, "PLAY": play}
        session = opens(server.url(login=LOGIN))
        assert len(server.asked("PLAY")) == 2
        session.keep_alive()
        again = b'RTSP/1.0 401 U\r\nWWW-Authenticate: Digest realm="r,1", nonce="third"\r\n\r\n'
        assert session.take_answer(again)
        assert b'nonce="third"' in session.keep_alive()
        assert not session.take_answer(again)


@pytest.mark.parametrize("stale", ["", ", stale=true"])
def test_session_counts_from_one_again_when_the_nonce_changes(opens: Open, stale: str) -> None:
    """Cameras forget to say that only the nonce is stale."""
    gate = Gate(f"{PLAIN}, qop=auth")

    def play(request: Request) -> bytes | None:
        if gate.nonce == "first":
            gate.nonce, gate.stale = "second", stale
        return gate(request)

    with gate.server() as server:
        server._replies = {**server._replies, "PLAY": play}
        session = opens(server.url(login=LOGIN))
        assert gate.counts == ["00000001", "00000002", "00000001"]
        assert b"nc=00000002" in session.keep_alive()


def test_session_logs_in_where_a_redirect_leads(opens: Open) -> None:
    with Gate(PLAIN).server() as goal:

        def moved(request: Request) -> bytes:
            return answer(request, f"Location: {goal.url()}\r\n", status="302 Found")

        with ScriptedServer(DESCRIBE=moved) as server:
            opens(server.url(login=LOGIN))
            assert all("authorization" not in one.headers for one in server.requests)


def test_session_asks_three_times_at_most_when_each_nonce_is_stale(opens: Open) -> None:
    def refuse(request: Request) -> bytes:
        count = len(server.requests)
        header = f'WWW-Authenticate: Digest realm="r", nonce="{count}", stale=true\r\n'
        return answer(request, header, status="401 Unauthorized")

    with ScriptedServer(DESCRIBE=refuse) as server:
        with pytest.raises(SourceError, match="refuses the user name"):
            opens(server.url(login=LOGIN))
        assert len(server.asked("DESCRIBE")) == 3


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE"])
def test_session_tries_a_password_once_when_it_is_wrong(opens: Open, method: str) -> None:
    def refuse(request: Request) -> bytes:
        header = f'WWW-Authenticate: Digest realm="r", nonce="{len(server.requests)}"\r\n'
        return answer(request, header, status="401 Unauthorized")

    with ScriptedServer(replies={method: refuse}) as server:
        with pytest.raises(SourceError) as caught:
            opens(server.url(login="user:mellon@"))
        assert (caught.value.reason, str(caught.value)) == ("unauthorized", UNAUTHORIZED)
        assert sum("authorization" in one.headers for one in server.requests) == 1


@pytest.mark.parametrize("name", ["basic", "digest"])
def test_session_plays_our_camera_when_the_password_is_right(
    server: RtspServer, opens: Open, name: str
) -> None:
    session = opens(server.url(name))
    assert session.media.codec == "h264"
    assert session.media.extradata.startswith(b"\x00\x00\x00\x01\x67")
    session.socket.settimeout(5.0)
    assert (session.leftover or session.socket.recv(1)).startswith(b"$")


@pytest.mark.parametrize("name", ["basic", "digest"])
@pytest.mark.parametrize("user", ["", "admin:mellon@"])
def test_session_is_unauthorized_when_our_camera_gets_a_wrong_password(
    server: RtspServer, opens: Open, name: str, user: str
) -> None:
    with pytest.raises(SourceError) as caught:
        opens(server.url(name, credentials=False).replace("rtsp://", f"rtsp://{user}"))
    no_login = "the camera asks for a user name and password, and the URL has none"
    expected = ("unauthorized", UNAUTHORIZED if user else no_login)
    assert (caught.value.reason, str(caught.value)) == expected
    assert caught.value.__cause__ is None
    assert PASSWORD not in repr(caught.value)


def test_session_says_so_when_our_server_has_no_such_camera(server: RtspServer, opens: Open) -> None:
    with pytest.raises(SourceError) as caught:
        opens(server.url("nowhere"))
    assert caught.value.reason == "not-found"


def test_session_leaves_our_camera_to_ffmpeg_when_its_codec_is_another(
    server: RtspServer, opens: Open
) -> None:
    with pytest.raises(UnsupportedError):
        opens(server.url("exotic"))


def test_session_has_the_parameter_sets_that_our_cameras_describe(server: RtspServer, opens: Open) -> None:
    assert opens(server.url("in-band")).media.extradata == b""
    media = opens(server.url("hevc")).media
    kinds = [unit[0] >> 1 for unit in media.extradata.split(b"\x00\x00\x00\x01")[1:]]
    assert (media.codec, kinds) == ("hevc", [32, 33, 34])


def test_session_stops_when_our_camera_is_silent(server: RtspServer, opens: Open) -> None:
    steered = server.camera("silent")
    steered.silence()
    stopping = threading.Event()
    timer = threading.Timer(0.1, stopping.set)
    timer.start()
    began_s = time.monotonic()
    with pytest.raises(SourceError, match="the source is closed"):
        opens(server.url("silent"), stopping=stopping)
    assert time.monotonic() - began_s < 0.5
    steered.heal()


def test_session_is_kept_alive_by_our_camera(server: RtspServer, opens: Open) -> None:
    session: Session = opens(server.url("digest"))
    session.socket.settimeout(5.0)
    session.socket.sendall(session.keep_alive())
    seen = b""
    while b"RTSP/1.0 200 OK" not in seen:
        seen = seen[-20:] + session.socket.recv(1 << 16)
