from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from framelane.core.log_tail import LogTail
from framelane.web.app import create_app
from framelane.web.log_lines import router

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from .conftest import Daemon

    Serve = Callable[[ASGIApp], str]

TOKEN = "s3cret-s3cret"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def url(daemon: Daemon, serve: Serve) -> str:
    tail = LogTail()
    for number in range(1, 7):
        level = "warning" if number % 3 == 0 else "info"
        tail(
            None,
            level,
            {"level": level, "timestamp": "2026-11-22T09:00:00.000000Z", "event": f"line-{number}"},
        )
    routes = router(lambda after, faults: tail.lines(after, faults_only=faults), "run-1")
    return serve(
        create_app(daemon, lambda _accept: (b"", "text/plain"), daemon.status, TOKEN, insight=routes)
    )


def texts(reply: httpx.Response) -> list[Any]:
    return [line["text"] for line in reply.json()["lines"]]


def test_lines_come_in_order_by_level_and_after_a_number(url: str) -> None:
    reply = httpx.get(f"{url}/api/log", headers=HEADERS)
    assert texts(reply) == [f"line-{number}" for number in range(1, 7)]
    assert reply.json()["run"] == "run-1"
    assert reply.json()["lines"][2] == {
        "number": 3,
        "at": "2026-11-22T09:00:00.000000Z",
        "level": "warning",
        "logger": "",
        "text": "line-3",
    }
    assert texts(httpx.get(f"{url}/api/log?after=4", headers=HEADERS)) == ["line-5", "line-6"]
    assert texts(httpx.get(f"{url}/api/log?level=warning&after=3", headers=HEADERS)) == ["line-6"]


@pytest.mark.parametrize("query", ["level=debug", "after=-1", "after=x", f"after={1 << 60}"])
def test_odd_questions_are_refused(url: str, query: str) -> None:
    assert httpx.get(f"{url}/api/log?{query}", headers=HEADERS).status_code == 422


def test_the_token_is_required(url: str) -> None:
    assert httpx.get(f"{url}/api/log").status_code == 401
