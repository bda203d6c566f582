from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest

from framelane.core.errors import FramelaneError
from framelane.web import connection
from framelane.web.server import HttpServer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from .conftest import Daemon


WAIT_S = 10.0


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": threading.current_thread().name.encode()})


def url(server: HttpServer) -> str:
    return f"http://127.0.0.1:{server.address[1]}/"


def test_server_serves_on_its_own_thread_and_installs_no_signal_handlers() -> None:
    before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    server = HttpServer(hello, "127.0.0.1:0")
    server.start()
    try:
        assert httpx.get(url(server)).text == "http"
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    finally:
        assert server.stop()


def test_server_gives_its_port_back_within_a_second() -> None:
    server = HttpServer(hello, "127.0.0.1:0")
    server.start()
    with httpx.Client() as client:  # an idle connection that is kept alive
        client.get(url(server))
        began_s = time.monotonic()
        assert server.stop()
        assert time.monotonic() - began_s < 1.0
    again = HttpServer(hello, f"127.0.0.1:{server.address[1]}")
    again.start()
    assert again.stop()


def test_connections_without_a_request_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.5)
    server = HttpServer(hello, "127.0.0.1:0")
    server.start()
    with ExitStack() as held:
        held.callback(server.stop)
        asked = held.enter_context(httpx.Client())
        assert asked.get(url(server)).text == "http"
        silent = [held.enter_context(socket.create_connection(server.address)) for _ in range(70)]
        for each in silent[:35]:
            each.sendall(b"GET / HT")
        asker = held.enter_context(socket.create_connection(server.address, timeout=WAIT_S))
        asker.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in asker.recv(1000)
        for each in silent:
            each.settimeout(WAIT_S)
            assert each.recv(1) == b""
        assert httpx.get(url(server)).text == "http"


def test_answer_may_take_longer_than_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.2)

    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.6)
        await hello(scope, receive, send)

    server = HttpServer(slowly, "127.0.0.1:0")
    server.start()
    with httpx.Client() as client:
        for _ in range(2):
            assert client.get(url(server)).text == "http"
    assert server.stop()


def test_server_stops_within_a_second_though_a_request_hangs() -> None:
    entered = threading.Event()

    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await asyncio.sleep(60)

    server = HttpServer(hang, "127.0.0.1:0")
    server.start()
    with socket.create_connection(("127.0.0.1", server.address[1])) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert entered.wait(5)
        began_s = time.monotonic()
        server.stop()
        assert time.monotonic() - began_s < 1.1
    server.stop(3.0)
    assert not server.alive


def test_server_may_be_stopped_before_it_has_begun_and_twice() -> None:
    server = HttpServer(hello, "127.0.0.1:0")
    assert server.stop()
    server = HttpServer(hello, "127.0.0.1:0")
    server.start()
    assert server.stop()
    assert server.stop()


def test_server_survives_garbage(daemon: Daemon) -> None:
    server = HttpServer(daemon.app(), "127.0.0.1:0")
    server.start()
    try:
        for garbage in (
            b"\x16\x03\x01\x02\x00",
            b"GET / HTTP/9.9\r\n\r\n",
            b"A" * 100_000,
            b"GET /%ff HTTP/1.1\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", server.address[1])) as client:
                client.settimeout(2)
                client.sendall(garbage)
                client.shutdown(socket.SHUT_WR)
        assert httpx.get(url(server) + "healthz").status_code == 200
    finally:
        assert server.stop()


def test_start_names_address_and_remedy_when_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FramelaneError) as raised:
            HttpServer(hello, f"127.0.0.1:{port}").start()
    assert str(raised.value) == (
        f"can't listen on 127.0.0.1:{port} (Address already in use): another process listens there; "
        "stop it or choose another port in http.listen"
    )


@pytest.mark.parametrize(
    ("listen", "part"),
    [
        ("192.0.2.1:8080", "this host does not have that address"),
        ("no.such.host.invalid:8080", "check the address"),
    ],
)
def test_start_names_the_remedy_when_the_address_is_not_ours(listen: str, part: str) -> None:
    with pytest.raises(FramelaneError, match=part):
        HttpServer(hello, listen).start()


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_server_serves_ipv6() -> None:
    server = HttpServer(hello, "[::1]:0")
    try:
        server.start()
    except FramelaneError as error:
        pytest.skip(f"this host has no ::1: {error}")
    try:
        assert httpx.get(f"http://[::1]:{server.address[1]}/").status_code == 200
    finally:
        assert server.stop()
