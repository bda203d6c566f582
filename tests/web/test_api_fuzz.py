"""Requests that the OpenAPI description suggests, to every route; `/api/detect` has a test of its own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok
from tests.live.conftest import MAIN, FakeNode

from framelane.config.load import check_config
from framelane.live.changes import LiveConfig
from framelane.live.edits import StreamEdits
from framelane.live.folder import StreamFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from schemathesis import Case
    from schemathesis.schemas import APIOperation
    from starlette.types import ASGIApp

    from .conftest import Daemon

EXAMPLES = 60
TOKEN = "correct horse battery"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def url(tmp_path: Path, daemon: Daemon, serve: Callable[[ASGIApp], str]) -> str:
    """A listener whose changes are checked, compared and stored as ever, for a node that opens no camera."""
    (tmp_path / "m.onnx").touch()
    (tmp_path / "streams.d").mkdir()
    main = tmp_path / "framelane.yaml"
    main.write_text(MAIN)
    live = LiveConfig(main, {}, check_config(main, {}))
    live.attach(FakeNode(dict(live.config.models)))
    live.open()
    return serve(daemon.app(TOKEN, StreamEdits(live, StreamFolder(tmp_path / "streams.d"))))


def statuses_of(operation: APIOperation[Any, Any, Any, Any]) -> Counter[int]:
    """What a route answers to what its description suggests."""
    statuses: Counter[int] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def ask(case: Case[Any]) -> None:
        statuses[case.call(headers=HEADERS).status_code] += 1

    ask()
    return statuses


def test_no_request_that_the_description_suggests_fails_the_server(url: str) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=HEADERS)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    answers = {
        f"{operation.method.upper()} {operation.path}": statuses_of(operation)
        for operation in operations
        if operation.path != "/api/detect"
    }
    assert {status for statuses in answers.values() for status in statuses if status >= 500} == set()
    assert answers["GET /api/streams"].keys() == {200}
    assert 422 in answers["POST /api/streams"]
    assert {
        "PATCH /api/streams/{stream}",
        "DELETE /api/streams/{stream}",
        "POST /api/reload",
    } <= answers.keys()
