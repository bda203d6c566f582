"""Whatever bytes come to the listener: an answer or a closed connection, no 5xx, and nothing without the token."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.web.conftest import Daemon

from framelane.web.middleware import OPEN_PATHS
from framelane.web.server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "correct-horse-battery"
PATIENCE_S = 20.0
CLOSED = [b"/metrics", b"/api/status", b"/openapi.json", b"/"]
TARGETS = st.one_of(
    st.sampled_from(
        [
            *CLOSED,
            *[path.encode() for path in sorted(OPEN_PATHS)],
            b"//metrics",
            b"/./metrics",
            b"/healthz/../metrics",
            b"/healthz/..%2fmetrics",
            b"/healthz%2f..%2fmetrics",
            b"/healthz;/metrics",
            b"/healthz%00/metrics",
            b"/healthz/",
            b"/%6detrics",
            b"/METRICS",
            b"/metrics?x=/healthz",
            b"/metrics#/healthz",
            b"http://127.0.0.1/metrics",
            b"http://127.0.0.1/healthz",
            b"*",
            b"",
            b"/" + b"a" * 70_000,
            b"/%ff%fe",
            b"/%",
        ]
    ),
    st.binary(max_size=20),
)
METHODS = st.sampled_from(
    [
        b"GET",
        b"HEAD",
        b"POST",
        b"PUT",
        b"DELETE",
        b"PATCH",
        b"OPTIONS",
        b"TRACE",
        b"CONNECT",
        b"get",
        b"X" * 300,
        b"",
    ]
)
VERSIONS = st.sampled_from(
    [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9", b"RTSP/1.0", b""]
)
HEADERS = st.one_of(
    st.sampled_from(
        [
            b"Host: x",
            b"Host: x\r\nHost: y",
            b"Host:",
            b"Content-Length: 5",
            b"Content-Length: -1",
            b"Content-Length: 99999999999999999999",
            b"Content-Length: 5\r\nContent-Length: 6",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: chunked, identity",
            b"Expect: 100-continue",
            b"Upgrade: h2c\r\nConnection: Upgrade",
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            b"Authorization: Bearer",
            b"Authorization: Bearer ",
            b"Authorization: Bearer null",
            b"Authorization: Bearer correct-horse-batterx",
            b"Authorization: Basic Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5",
            b"Authorization: Bearer \xff\xfe",
            b"X-Original-URL: /healthz",
            b"X-Forwarded-Prefix: /healthz",
            b"X-HTTP-Method-Override: GET",
            b"Accept: " + b"application/openmetrics-text;q=,," * 20,
            b"Range: bytes=0-99999999999",
            b" folded: line",
            b"X: " + b"x" * 70_000,
        ]
    ),
    st.binary(max_size=30),
)
REQUESTS = st.builds(
    lambda method, target, version, headers, body: (
        b"%s %s %s\r\n%s\r\n\r\n%s" % (method, target, version, b"\r\n".join(headers), body)
    ),
    METHODS,
    TARGETS,
    VERSIONS,
    st.lists(HEADERS, max_size=4),
    st.one_of(st.just(b""), st.binary(max_size=40), st.just(b"5\r\nhello\r\n0\r\n\r\n")),
)
PIPELINES = st.lists(REQUESTS, min_size=1, max_size=3).map(b"".join)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    server = HttpServer(Daemon().app(TOKEN), "127.0.0.1:0")
    server.start()
    yield server.address
    assert server.stop(10)


def exchanged(address: tuple[str, int], request: bytes) -> bytes:
    """All that comes back until the other side closes; TimeoutError where it never does."""
    with socket.create_connection(address, PATIENCE_S) as connection:
        answer = b""
        with suppress(ConnectionError):  # it may close before it has read all
            connection.sendall(request)
            with suppress(OSError):  # closed both ways by now
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(1 << 16):
                answer += data
        return answer


def statuses(answer: bytes) -> list[int]:
    """Of all responses on the connection; the bodies hold no line that looks like one."""
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


@given(request=st.one_of(PIPELINES, st.binary(max_size=200)))
@example(request=b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \r\n\r\n")
@example(request=b"GET http://x/healthz/../metrics HTTP/1.1\r\nHost: x\r\n\r\n")
def test_any_bytes_get_an_answer_and_nothing_that_needs_the_token(
    address: tuple[str, int], request: bytes
) -> None:
    answer = exchanged(address, request)

    assert all(status < 500 for status in statuses(answer))
    assert b"framelane_" not in answer
    assert b'"streams"' not in answer
    assert b'"openapi"' not in answer
    assert TOKEN.encode() not in answer


def test_listener_serves_as_before_after_all_that(address: tuple[str, int]) -> None:
    for path in CLOSED[:3]:
        head = b"GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % (path, TOKEN.encode())
        assert statuses(exchanged(address, head)) == [200]
