"""Host names, methods, and probes that are answered under any load."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from framelane.web.hosts import Hosts
from framelane.web.middleware import SecurityMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from .conftest import Daemon

    Serve = Callable[[ASGIApp], str]

TOKEN = "correct horse battery"
WAIT_S = 30.0


@pytest.mark.parametrize(
    ("listen", "header", "known"),
    [
        ("127.0.0.1", "127.0.0.1:8080", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "LOCALHOST:8080", True),
        ("127.0.0.1", "localhost.", True),
        ("127.0.0.1", "[::1]:8080", True),
        ("127.0.0.1", "gate.example:443", True),
        ("127.0.0.1", "GATE.example.", True),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "gate.example.evil.example", False),
        ("127.0.0.1", "evil.example:8080", False),
        ("127.0.0.1", "10.0.0.5", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "user@evil.example", False),
        ("127.0.0.1", "localhost@evil.example", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "[::1", False),
        ("10.0.0.5", "10.0.0.5:8080", True),
        ("10.0.0.5", "10.0.0.6:8080", False),
        ("0.0.0.0", "10.0.0.6:8080", True),
        ("::", "[fd00::1]:8080", True),
        ("0.0.0.0", "evil.example", False),
        ("gate-01.lan", "Gate-01.LAN:8080", True),
    ],
)
def test_host_is_known_or_not(listen: str, header: str, *, known: bool) -> None:
    assert Hosts(listen, ["Gate.example"]).knows(header) == known


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/status", "/openapi.json", "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_foreign_host_is_refused(daemon: Daemon, serve: Serve, path: str, method: str) -> None:
    url = serve(daemon.app(hosts=Hosts("127.0.0.1")))
    reply = httpx.request(method, url + path, headers={"Host": "evil.example"})
    assert (reply.status_code, reply.headers["content-type"]) == (421, "application/problem+json")
    assert method == "HEAD" or "http.hosts" in reply.json()["detail"]
    assert "lobby" not in reply.text


def test_own_names_are_answered(daemon: Daemon, serve: Serve) -> None:
    url = serve(daemon.app(hosts=Hosts("127.0.0.1", ["gate.example"])))
    for host in ("localhost", "127.0.0.1:1", "gate.example", "[::1]:80"):
        assert httpx.get(f"{url}/api/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/status", "/openapi.json"])
def test_head_is_get_without_the_body(daemon: Daemon, serve: Serve, path: str) -> None:
    url = serve(daemon.app())
    with httpx.Client() as client:  # a body that came after all would spoil the next answer
        head = client.head(url + path)
        get = client.get(url + path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # which differ from moment to moment
        assert head.headers["content-length"] == str(len(get.content))


def test_head_of_what_can_only_be_posted_is_refused(daemon: Daemon, serve: Serve) -> None:
    assert httpx.head(f"{serve(daemon.app())}/nowhere").status_code == 404
    assert httpx.head(f"{serve(daemon.app(TOKEN))}/metrics").status_code == 401


def test_probes_are_answered_when_other_requests_are_refused(serve: Serve) -> None:
    inside, done = threading.Semaphore(0), threading.Event()

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            inside.release()
            while not done.is_set():  # noqa: ASYNC110 - it is set on another thread
                await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    url = serve(SecurityMiddleware(busy, None, most=3))

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(lambda: httpx.get(f"{url}/slow", timeout=WAIT_S)) for _ in range(3)]
        for _ in range(3):
            assert inside.acquire(timeout=WAIT_S)
        refused = httpx.get(f"{url}/slow")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["detail"] == "3 requests are in progress: try again"
        for path in ("/healthz", "/readyz"):
            assert httpx.get(url + path).status_code == 200
        done.set()
    assert [each.result().status_code for each in waiting] == [200] * 3
    assert httpx.get(f"{url}/slow").status_code == 200
