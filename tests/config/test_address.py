"""Parsing of addresses."""

from __future__ import annotations

import pytest

from framelane.config.address import (
    AddressError,
    BrokerAddress,
    is_loopback,
    parse_broker,
    parse_listen,
    source_kind,
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h", BrokerAddress("h", 1883, tls=False, username=None, password=None)),
        ("MQTTS://h/", BrokerAddress("h", 8883, tls=True, username=None, password=None)),
        ("mqtt://u:p%2Fw@[::1]:1884", BrokerAddress("::1", 1884, tls=False, username="u", password="p/w")),
    ],
)
def test_parse_broker(url: str, expected: BrokerAddress) -> None:
    assert parse_broker(url) == expected


def test_broker_url_has_no_credentials() -> None:
    assert parse_broker("mqtts://u:p@[::1]").url == "mqtts://[::1]:8883"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:0", ("::1", 0)),
        ("gate.example:65535", ("gate.example", 65535)),
    ],
)
def test_parse_listen(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "8080",
        "h",
        ":1",
        "h:",
        "h:x",
        "h:65536",
        "::1:80",
        "http://h:80",
        "u@h:80",
        "h:80/x",
        "h:-1",
        "h:\u0661",
    ],
)
def test_parse_listen_refuses_all_else(text: str) -> None:
    with pytest.raises(AddressError):
        parse_listen(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("h", False),
    ],
)
def test_is_loopback(host: str, expected: bool) -> None:  # noqa: FBT001 - a case of the table
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://h/1", "rtsp"),
        ("RTSPS://h/1", "rtsp"),
        ("https://h/x.m3u8", "http"),
        ("/dev/video12", "device"),
        ("/dev/videos", "path"),
        ("clips/a.mp4", "path"),
        ("a:b.mp4", "path"),
    ],
)
def test_source_kind(url: str, expected: str) -> None:
    assert source_kind(url) == expected


@pytest.mark.parametrize("url", ["clip.mp4\0.nope", "rtsp://h/\a", "x\ny.mp4"])
def test_url_with_a_control_character_is_refused(url: str) -> None:
    with pytest.raises(AddressError, match="control character"):
        source_kind(url)
