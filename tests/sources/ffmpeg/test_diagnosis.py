"""Faults of FFmpeg's attempts, made more precise by asking the server once more, and never with a login too many."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.sources.http.web import Answer, serving

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.sources.ffmpeg.diagnosis import explained

if TYPE_CHECKING:
    from framelane.sources.interfaces.source import Kind

OPTIONS = StreamOptions()


def fault(reason: str) -> SourceError:
    return SourceError(reason, "as FFmpeg says")  # type: ignore[arg-type] # one of the reasons


def ask(url: str, reason: str, kind: Kind = "http") -> tuple[str, str]:
    found = explained(url, kind, OPTIONS, fault(reason), SystemClock())
    return found.reason, str(found)


def with_login(url: str) -> str:
    return url.replace("http://", "http://me:sesame@")


def test_number_of_a_refusal_is_that_of_the_server() -> None:
    with serving(lambda _path, _headers: Answer(status=503)) as web:
        reason, text = ask(f"{web.url}/stream", "rejected")
    assert reason == "rejected"
    assert "503" in text


def test_missing_login_is_told_without_asking() -> None:
    with serving(lambda _path, _headers: Answer(status=401)) as web:
        reason, text = ask(f"{web.url}/stream", "unauthorized")
        assert web.asked == []
    assert reason == "unauthorized"
    assert text != "as FFmpeg says"


def test_kind_of_login_that_ffmpeg_lacks_is_named_and_the_password_is_not_sent() -> None:
    """Many cameras lock an account after a few wrong attempts."""
    answer = Answer(
        status=401, headers={"WWW-Authenticate": 'Digest realm="r", nonce="1", algorithm=SHA-256'}
    )
    with serving(lambda _path, _headers: answer) as web:
        reason, text = ask(with_login(f"{web.url}/stream"), "unauthorized")
        assert [headers.get("authorization") for _, headers in web.asked] == [None]
    assert reason == "unauthorized"
    assert "SHA-256" in text
    assert "sesame" not in text


@pytest.mark.parametrize("challenge", ['Basic realm="r"', 'Digest realm="r", nonce="1"', ""])
def test_login_that_ffmpeg_could_have_sent_was_wrong(challenge: str) -> None:
    answer = Answer(status=401, headers={"WWW-Authenticate": challenge} if challenge else {})
    with serving(lambda _path, _headers: answer) as web:
        assert ask(with_login(web.url), "unauthorized") == ("unauthorized", "as FFmpeg says")


def test_server_that_answers_differently_now_changes_nothing() -> None:
    with serving(lambda _path, _headers: Answer(b"ok")) as web:
        for reason in ("rejected", "unauthorized"):
            assert ask(with_login(web.url), reason) == (reason, "as FFmpeg says")


@pytest.mark.parametrize("reason", ["rejected", "unauthorized", "unreachable"])
def test_server_that_is_gone_changes_nothing(reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ask(f"http://me:sesame@127.0.0.1:{port}/", reason) == (reason, "as FFmpeg says")


@pytest.mark.parametrize(
    ("kind", "reason"), [("file", "missing"), ("device", "permission"), ("http", "timeout"), ("rtsp", "lost")]
)
def test_other_faults_are_left_as_they_are(kind: Kind, reason: str) -> None:
    assert ask("http://127.0.0.1:1/", reason, kind) == (reason, "as FFmpeg says")
