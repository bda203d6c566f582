"""URLs of streams, and logins that are taken out of them."""

from __future__ import annotations

import pytest

from framelane.sources.rtsp.address import Address, parse_address, without_login
from framelane.sources.rtsp.auth import Credentials


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://h", Address("h", 554, "rtsp://h", None)),
        ("RTSP://h:8554/a%20b?c=1#d", Address("h", 8554, "rtsp://h:8554/a%20b?c=1#d", None)),
        ("rtsp://[::1]:5/x", Address("::1", 5, "rtsp://[::1]:5/x", None)),
        ("rtsp://[fe80::1%25eth0]/x", Address("fe80::1%eth0", 554, "rtsp://[fe80::1%25eth0]/x", None)),
        ("rtsps://h/x", Address("h", 322, "rtsps://h/x", None, tls=True)),
        ("RTSPS://[::1]:5/x", Address("::1", 5, "rtsps://[::1]:5/x", None, tls=True)),
        ("rtsp://u:p@h/x", Address("h", 554, "rtsp://h/x", Credentials("u", "p"))),
        ("rtsp://u%40v:p@q:%2f@h/x@y", Address("h", 554, "rtsp://h/x@y", Credentials("u@v", "p@q:/"))),
        ("rtsp://u@h/ä b", Address("h", 554, "rtsp://h/%C3%A4%20b", Credentials("u", ""))),
    ],
)
def test_url_is_taken_apart(url: str, expected: Address) -> None:
    assert parse_address(url) == expected


def test_login_is_taken_out_when_a_server_names_one() -> None:
    assert without_login("rtsp://u:p@h/x") == "rtsp://h/x"
    assert without_login("RTSPS://u:p@[::1]:5/x") == "RTSPS://[::1]:5/x"
    assert without_login("track 1") == "track%201"
