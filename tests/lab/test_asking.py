"""The client of the HTTP benchmark, against a real listener."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from framelane.measure.errors import BenchError
from framelane.web.server import HttpServer
from lab.asking import Target, ask_kept, ask_reconnecting, flood

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

WAIT_S = 0.02
BODY = b"x" * 200_000


async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers after WAIT_S, with a body of some packets; 503 at /busy."""
    await asyncio.sleep(WAIT_S)
    status = 503 if scope["path"] == "/busy" else 200
    headers = [(b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    server = HttpServer(slowly, "127.0.0.1:0")
    server.start()
    yield server.address
    assert server.stop()


def test_each_answer_is_taken_whole_and_timed(address: tuple[str, int]) -> None:
    target = Target.get(*address, "/")
    for took in (ask_kept(target, 5), ask_reconnecting(target, 5)):
        assert took is not None
        assert took.count == 5
        assert took.p50 >= 1e3 * WAIT_S


def test_connections_ask_beside_each_other(address: tuple[str, int]) -> None:
    target = Target.post(*address, "/", "image/jpeg", BODY)
    found = flood(target, 4, 0.5)
    assert found.took_ms is not None
    assert 1 / WAIT_S < found.rate <= 4 / WAIT_S
    assert found.rate == pytest.approx(4e3 / found.took_ms.mean, rel=0.2)


def test_refusal_is_no_figure(address: tuple[str, int]) -> None:
    with pytest.raises(BenchError, match="503"):
        flood(Target.get(*address, "/busy"), 2, 0.2)
