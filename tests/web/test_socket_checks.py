from __future__ import annotations

import base64

import pytest
from starlette.datastructures import Headers

from framelane.web.socket_checks import PROTOCOL, origin_problem, token_of


@pytest.mark.parametrize("token", ["secret", "a?b>c~~ü", "x" * 100])
def test_a_token_travels_as_a_subprotocol(token: str) -> None:
    coded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    assert token_of([PROTOCOL, f"bearer.{coded}"]) == token.encode()


@pytest.mark.parametrize("offered", [[], [PROTOCOL], ["bearer."], ["bearer.a"], ["bearer.!!!"], ["bearer.ü"]])
def test_what_is_no_token_is_empty(offered: list[str]) -> None:
    assert token_of(offered) == b""


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "gate:8080", True),
        ("http://gate:8080", "gate:8080", True),
        ("https://gate", "gate", True),
        ("http://gate", "gate:80", True),
        ("https://gate", "gate:443", True),
        ("http://GATE:8080", "gate:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("https://cams.example", "gate:8080", True),
        ("http://evil.example", "gate:8080", False),
        ("http://gate:3000", "gate:8080", False),
        ("http://gate", "gate:8080", False),
        ("http://gate.evil.example:8080", "gate:8080", False),
        ("null", "gate:8080", False),
        ("http://gate:99999", "gate:8080", False),
        ("http://[", "gate:8080", False),
        ("", "gate:8080", False),
    ],
)
def test_pages_of_this_listener_and_of_named_hosts_may_watch(
    origin: str | None, host: str, *, allowed: bool
) -> None:
    headers = Headers({"host": host} | ({} if origin is None else {"origin": origin}))
    problem = origin_problem(headers, ["cams.example"])
    assert (problem is None) == allowed
    assert problem is None or problem.status == 403
