"""Credentials are removed from every text."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from framelane.core.redact import forget_secrets, redact, redact_event, register_secret

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_secrets() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("nothing to do", "nothing to do"),
        ("rtsp://10.0.0.7/stream1", "rtsp://10.0.0.7/stream1"),
        ("rtsp://user:pw@10.0.0.7/stream1", "rtsp://user:***@10.0.0.7/stream1"),
        ("rtsp://user@host/x", "rtsp://user@host/x"),
        ("rtsp://user:@host/x", "rtsp://user:***@host/x"),
        ("rtsp://:pw@host", "rtsp://:***@host"),
        ("RTSPS://user:pw@host:322/x", "RTSPS://user:***@host:322/x"),
        ("rtsp://user:p@ss@host/x", "rtsp://user:***@host/x"),
        ("rtsp://user:p:w:d@host/x", "rtsp://user:***@host/x"),
        ("rtsp://user:pa/ss@host/x", "rtsp://user:***@host/x"),
        ("rtsp://user:pa?ss#1@host/x", "rtsp://user:***@host/x"),
        ("rtsp://user:p%40ss%2F@host/x", "rtsp://user:***@host/x"),
        ('rtsp://user:p"w\'<d>@host/x', "rtsp://user:***@host/x"),
        ("rtsp://user:pw@[fe80::1%25eth0]:554/x", "rtsp://user:***@[fe80::1%25eth0]:554/x"),
        ("rtsp://[2001:db8::1]:554/x", "rtsp://[2001:db8::1]:554/x"),
        ("http://host:8080/path@2x.jpg", "http://host:8080/path@2x.jpg"),
        ("http://host/path@2x.jpg", "http://host/path@2x.jpg"),
        ("from rtsp://a:b@c/d to mqtt://e:f@g", "from rtsp://a:***@c/d to mqtt://e:***@g"),
        ("rtsp://a:b@c/d,rtsp://e:f@g/h", "rtsp://a:***@c/d,rtsp://e:***@g/h"),
        ("'rtsp://a:b@c/d': Connection refused", "'rtsp://a:***@c/d': Connection refused"),
        ("http://h/?u=rtsp%3A%2F%2Fuser%3Apw%40host%2Fx&y=1", "http://h/?u=rtsp%3A%2F%2Fuser%3A***%40host%2Fx&y=1"),
        ("http://h/cgi?usr=admin&pwd=secret&x=1", "http://h/cgi?usr=admin&pwd=***&x=1"),
        ("http://h/?access_token=abc.def", "http://h/?access_token=***"),
        ("http://h/?password=a%26b#frag", "http://h/?password=***#frag"),
        ("http://h/user=admin_password=abc_channel=1", "http://h/user=admin_password=***"),
        ("compass=north bypass=1", "compass=north bypass=1"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: Basic ***"),
        ("authorization: bearer abc.def-ghi", "authorization: bearer ***"),
        ("mail a@b.example about x=1", "mail a@b.example about x=1"),
    ],
)  # fmt: skip
def test_redact_masks_credentials(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_redact_masks_nothing_twice_differently() -> None:
    once = redact("rtsp://user:p@ss@host/x?token=abc")
    assert redact(once) == once


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("hunter2hunter2", "401 for hunter2hunter2!", "401 for ***!"),
        ("hunter2hunter2", "xhunter2hunter2x", "x***x"),
        ("p@ss/word", "user:p%40ss%2Fword", "user:***"),
        ("p%40ss%2Fword", "the password p@ss/word is wrong", "the password *** is wrong"),
        ("my pass", "login my pass failed", "login *** failed"),
        ("cam1", "cam1 refused", "*** refused"),
        ("cam1", "scam11 refused", "scam11 refused"),
        ("abc", "abc refused", "abc refused"),
        ("abc", "rtsp://u:abc@h", "rtsp://u:***@h"),
        ("", "anything", "anything"),
        ("a.b*c(d", "see a.b*c(d here", "see *** here"),
    ],
)
def test_redact_masks_registered_secrets(secret: str, text: str, expected: str) -> None:
    register_secret(secret)
    assert redact(text) == expected


def test_redact_masks_the_longer_secret_when_one_holds_another() -> None:
    register_secret("secretsecret")
    register_secret("secretsecret-and-more")
    assert redact("secretsecret-and-more") == "***"


def test_redact_returns_the_same_object_when_there_is_nothing_to_do() -> None:
    register_secret("hunter2hunter2")
    text = "stream lobby is live"
    assert redact(text) is text


def test_register_secret_keeps_every_value_when_threads_compete() -> None:
    secrets = [f"secret-number-{index}" for index in range(200)]

    def register(part: list[str]) -> None:
        for value in part:
            register_secret(value)

    threads = [threading.Thread(target=register, args=(secrets[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {redact(value) for value in secrets} == {"***"}


def test_redact_event_reaches_nested_values_and_errors() -> None:
    url = "rtsp://user:pw@host/x"
    event: dict[str, Any] = {
        "event": f"open {url}",
        "count": 3,
        "ok": True,
        "none": None,
        "urls": [url, (url,)],
        "options": {"url": url},
        "error": OSError(url),
        "_record": url,
    }
    masked = "rtsp://user:***@host/x"
    assert redact_event(None, "info", event) == {
        "event": f"open {masked}",
        "count": 3,
        "ok": True,
        "none": None,
        "urls": [masked, [masked]],
        "options": {"url": masked},
        "error": f"OSError: {masked}",
        "_record": url,
    }


def test_redact_event_ends_when_a_value_holds_itself() -> None:
    loop: list[object] = ["rtsp://user:pw@host/x"]
    loop.append(loop)
    assert "pw" not in str(redact_event(None, "info", {"loop": loop}))
