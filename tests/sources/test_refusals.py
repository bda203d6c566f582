"""What the state says of a server that refuses, whichever reader has asked it: its number, its kind of login."""

from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.sources.odd_camera import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fuzz.rogue_server import Client
    from tests.sources.conftest import Watch
    from tests.sources.watched import WatchedCamera

READERS = ["auto", "ffmpeg"]
SHA_256 = 'WWW-Authenticate: Digest realm="cam", nonce="abc", algorithm=SHA-256, qop="auth"\r\n'
MD5 = 'WWW-Authenticate: Digest realm="cam", nonce="abc"\r\n'
NTLM = "WWW-Authenticate: NTLM\r\n"
SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
NO_NAME = "the host name can't be resolved; check the URL and DNS"


def refusing(method: str, status: str, headers: str = "") -> Callable[[Client], None]:
    """A server that answers all requests but those of one method."""

    def behave(client: Client) -> None:
        while True:
            request = client.request()
            if request.method == method:
                client.answer(request, headers, status=status)
            elif request.method == "DESCRIBE":
                client.answer(request, "Content-Type: application/sdp\r\n", SDP)
            elif request.method == "SETUP":
                transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                client.answer(request, f"Session: 7\r\n{transport}")
            else:
                client.answer(request, "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n")

    return behave


def fault(camera: WatchedCamera) -> tuple[str, str]:
    state = camera.first("down")
    return state.reason, state.text


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("method", "status", "text"),
    [
        (
            "DESCRIBE",
            "503 Service Unavailable",
            "the server fails to answer the request (503 Service Unavailable)",
        ),
        ("SETUP", "453 Not Enough Bandwidth", "the server rejects the request (453 Not Enough Bandwidth)"),
    ],
)
def test_a_refusal_keeps_its_number(watch: Watch, method: str, status: str, text: str, reader: str) -> None:
    with serving(refusing(method, status)) as server:
        assert fault(watch(server.url("cam"), reader=reader)) == ("rejected", text)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("headers", [SHA_256, MD5, NTLM])
def test_a_camera_that_asks_for_a_login_says_so_when_the_url_has_none(
    watch: Watch, headers: str, reader: str
) -> None:
    with serving(refusing("DESCRIBE", "401 Unauthorized", headers)) as server:
        assert fault(watch(server.url("cam"), reader=reader)) == (
            "unauthorized",
            "the camera asks for a user name and password, and the URL has none",
        )


@pytest.mark.parametrize(
    ("headers", "reader", "text"),
    [
        (
            SHA_256,
            "ffmpeg",
            "asks for a login by Digest SHA-256, which FFmpeg does not know; leave `reader` at auto",
        ),
        (SHA_256, "auto", "refuses the user name or password"),
        (MD5, "ffmpeg", "refuses the user name or password"),
        (SHA_256 + MD5, "ffmpeg", "refuses the user name or password"),
        (NTLM, "ffmpeg", "asks for a login by NTLM, which FFmpeg does not know"),
        (
            NTLM,
            "auto",
            "asks for a login by NTLM, which Framelane does not know; set the camera to Basic or Digest",
        ),
    ],
)
def test_a_login_that_the_reader_lacks_is_named(watch: Watch, headers: str, reader: str, text: str) -> None:
    with serving(refusing("DESCRIBE", "401 Unauthorized", headers)) as server:
        url = server.url("cam").replace("rtsp://", "rtsp://admin:mellon@")
        reason, told = fault(watch(url, reader=reader))
    assert (reason, text in told) == ("unauthorized", True), told
    assert "mellon" not in told


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("url", ["rtsp://no-such-camera.invalid/x", "http://no-such-camera.invalid/x.m3u8"])
def test_a_name_that_leads_nowhere_is_called_that(watch: Watch, url: str, reader: str) -> None:
    assert fault(watch(url, reader=reader)) == ("unreachable", NO_NAME)


@contextmanager
def web_server(status: int, words: str, headers: dict[str, str]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status, words)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/live.mjpg"
        server.shutdown()


def test_a_web_servers_refusal_keeps_its_number(watch: Watch) -> None:
    with web_server(503, "Busy", {}) as url:
        assert fault(watch(url)) == ("rejected", "the server fails to answer the request (503 Busy)")


def test_a_web_servers_kind_of_login_is_named(watch: Watch) -> None:
    with web_server(401, "Unauthorized", {"WWW-Authenticate": SHA_256.split(": ", 1)[1].strip()}) as url:
        reason, text = fault(watch(url.replace("http://", "http://admin:mellon@")))
    assert (reason, "Digest SHA-256" in text) == ("unauthorized", True), text
