"""Connections to the listener: kept ones answer at once, and silent ones don't lock out others."""

from __future__ import annotations

import socket
import ssl
import statistics
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.mosquitto import make_certificates

from framelane.web import connection
from framelane.web.server import HttpServer
from framelane.web.tls import Certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Daemon

WAIT_S = 20.0
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def server(daemon: Daemon) -> Iterator[HttpServer]:
    server = HttpServer(daemon.app(), "127.0.0.1:0")
    server.start()
    yield server
    assert server.stop()


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(server.address, timeout=WAIT_S)


def assert_answered(asker: socket.socket) -> None:
    heard = b""
    while not heard.endswith(b'{"ok":true,"reasons":[]}'):
        heard += asker.recv(1000)
    assert heard.startswith(b"HTTP/1.1 200")


def probe(server: HttpServer, path: str = "/healthz") -> int:
    asker = HTTPConnection(*server.address, timeout=WAIT_S)
    try:
        asker.request("GET", path)
        return asker.getresponse().status
    finally:
        asker.close()


@pytest.mark.parametrize("half", [b"", b"GET / HT", b"POST /api/detect HTTP/1.1\r\nHost: x\r\nContent-Le"])
def test_probes_are_answered_beside_hundreds_of_half_open_connections(
    server: HttpServer, half: bytes
) -> None:
    with ExitStack() as held:
        for _ in range(60):
            for _ in range(10):
                each = held.enter_context(connect(server))
                each.sendall(half)
            assert [probe(server, path) for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3


def test_longest_idle_connection_is_closed_for_a_new_one(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 3)
    again = HttpServer(server._app, "127.0.0.1:0")  # connections are counted from its start
    again.start()
    with ExitStack() as held:
        held.callback(again.stop)
        first, second, third = (held.enter_context(connect(again)) for _ in range(3))
        time.sleep(0.1)
        first.sendall(REQUEST)  # so the second is the longest idle
        assert_answered(first)
        fourth = held.enter_context(connect(again))
        assert second.recv(1) == b""
        for each in (first, third, fourth):
            each.sendall(REQUEST)
            assert_answered(each)


def test_silent_tls_peers_are_closed(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.5)
    made = make_certificates(tmp_path / "made")
    context = Certificate(str(made.server_cert), str(made.server_key)).context
    server = HttpServer(daemon.app(), "127.0.0.1:0", context)
    server.start()
    trusting = ssl.create_default_context(cafile=str(made.ca))
    with ExitStack() as held:
        held.callback(server.stop)
        silent = [held.enter_context(connect(server)) for _ in range(50)]
        with connect(server) as plain, trusting.wrap_socket(plain, server_hostname="localhost") as asker:
            asker.sendall(REQUEST)
            assert_answered(asker)
        for each in silent:
            assert each.recv(1) == b""


def test_kept_connection_is_answered_as_quickly_as_a_new_one(server: HttpServer) -> None:
    """With Nagle's algorithm on it takes 40 ms longer, whatever the load."""
    took_s: list[float] = []
    asker = HTTPConnection(*server.address, timeout=WAIT_S)
    for _ in range(60):
        began_s = time.perf_counter()
        asker.request("GET", "/healthz")
        assert asker.getresponse().read() == b'{"ok":true,"reasons":[]}'
        took_s.append(time.perf_counter() - began_s)
    asker.close()
    assert statistics.quantiles(took_s, n=4)[0] < 0.03, took_s


def test_accepted_sockets_send_at_once(server: HttpServer) -> None:
    with connect(server) as asker:
        asker.sendall(REQUEST)
        assert_answered(asker)
        assert server._server is not None
        (accepted,) = server._server.server_state.connections
        ours = accepted.transport.get_extra_info("socket")
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
