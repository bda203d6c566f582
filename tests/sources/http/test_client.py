"""What our own HTTP client says of servers that misbehave, and what it gives away to none."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.sources.http.web import Answer, serving

from framelane.config.sections.stream import StreamOptions
from framelane.core.errors import SourceError
from framelane.sources.http.client import BrokenBodyError, HttpClient, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS = Limits(1 << 20, 5.0)


def refused(url: str) -> str:
    with pytest.raises(SourceError) as caught:
        HttpClient(url, StreamOptions()).get(url, 2.0)
    return f"{caught.value.reason}: {caught.value}"


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert refused(f"http://127.0.0.1:{port}/").startswith("refused: nothing listens at this address")


def test_nobody_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(SourceError) as caught:
            HttpClient(url, StreamOptions()).get(url, 0.2)
    assert caught.value.reason == "timeout"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(status=404), "not-found: "),
        (Answer(status=418), "rejected: the server answers 418 "),
        (Answer(status=302, headers={"Location": "file:///etc/passwd"}), "rejected: the server answers 302"),
        (Answer(status=302, headers={"Location": "/again"}), "rejected: the server answers 302"),
    ],
    ids=["404", "418", "file", "circle"],
)
def test_refusal_is_named(answer: Answer, text: str) -> None:
    with serving(lambda _path, _headers: answer) as server:
        assert refused(f"{server.url}/x").startswith(text)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "gopher://x"])
def test_playlist_can_not_name_other_places_than_http(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        HttpClient("http://127.0.0.1/", StreamOptions()).get(url, 1.0)
    assert caught.value.reason == "protocol"


def test_body_that_ends_too_soon_or_never_is_refused() -> None:
    client = HttpClient("http://127.0.0.1/", StreamOptions())
    short, long = Answer(b"x" * 10, length=20), Answer(b"x" * (2 << 20))
    with serving(lambda path, _headers: short if path == "/short" else long) as server:
        with client.get(f"{server.url}/short", 2.0) as response, pytest.raises(BrokenBodyError):
            response.read(LIMITS)
        with client.get(f"{server.url}/long", 2.0) as response, pytest.raises(SourceError, match="1 MiB"):
            response.read(LIMITS)


def test_cookies_are_kept() -> None:
    """mediamtx asks for one."""

    def answer(_path: str, headers: Mapping[str, str]) -> Answer:
        if "cookieCheck=1" in headers.get("cookie", ""):
            return Answer(b"in")
        return Answer(status=302, headers={"Set-Cookie": "cookieCheck=1", "Location": "/live?cookieCheck=1"})

    with serving(answer) as server:
        client = HttpClient(server.url, StreamOptions())
        with client.get(f"{server.url}/live", 2.0) as response:
            assert response.read(LIMITS) == b"in"


def test_login_is_written_for_the_streams_own_server_alone() -> None:
    client = HttpClient("http://me:p%40ss@cam:8080/live.m3u8", StreamOptions())
    assert client.url == "http://cam:8080/live.m3u8"
    assert client.with_login("http://cam:8080/v.m3u8") == "http://me:p%40ss@cam:8080/v.m3u8"
    assert client.with_login("http://cdn/v.m3u8") == "http://cdn/v.m3u8"
    assert client.with_login("https://cam:8080/v.m3u8") == "https://cam:8080/v.m3u8"
