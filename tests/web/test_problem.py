"""Refusals as RFC 9457 has them."""

from __future__ import annotations

import orjson
import pytest
from fastapi.exceptions import RequestValidationError

from framelane.web.problem import (
    MEDIA_TYPE,
    ProblemError,
    ProblemReply,
    documented,
    invalid,
    problem_response,
)


@pytest.mark.parametrize(
    ("status", "title"),
    [(400, "Bad Request"), (404, "Not Found"), (503, "Service Unavailable")],
)
def test_problem_response_tells_status_title_and_detail(status: int, title: str) -> None:
    response = problem_response(ProblemError(status, "it is so", {"Retry-After": "7"}))
    assert (status, MEDIA_TYPE, "7") == (
        response.status_code,
        response.headers["content-type"],
        response.headers["retry-after"],
    )
    assert {"title": title, "status": status, "detail": "it is so"} == orjson.loads(response.body)


def test_problem_error_shows_its_detail() -> None:
    assert str(ProblemError(404, "no such stream")) == "no such stream"


def test_invalid_lists_each_parameter_with_its_place() -> None:
    errors = [
        {"loc": ("query", "confidence"), "msg": "Input should be a number"},
        {"loc": ("body", "crop", 2), "msg": "Field required"},
    ]
    problem = invalid(RequestValidationError(errors))
    assert (problem.status, problem.detail) == (
        422,
        "query.confidence: Input should be a number; body.crop.2: Field required",
    )


def test_documented_describes_each_status() -> None:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemReply"}}}
    assert documented([404, 409], ProblemReply) == {
        404: {"description": "Not Found", "content": content},
        409: {"description": "Conflict", "content": content},
    }
