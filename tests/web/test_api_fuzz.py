"""Requests generated from the OpenAPI description, to every route except `/api/detect`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok
from tests.web.conftest import HEADERS

if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.schemas import APIOperation


EXAMPLES = 60


def statuses_of(operation: APIOperation[Any, Any, Any, Any]) -> Counter[int]:
    """The answer of a route to a request generated from its description."""
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
