"""Refusals as HTTP tells them: RFC 9457's `application/problem+json`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi.exceptions import RequestValidationError

MEDIA_TYPE = "application/problem+json"


class ProblemReply(BaseModel):
    """Why a request was refused."""

    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong with this very request, and what to do.")


class ProblemError(Exception):
    """A request is refused with this status."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.detail = detail
        self.headers = headers
        super().__init__(detail)


def problem_response(problem: ProblemError) -> JSONResponse:
    """The answer."""
    body = ProblemReply(title=HTTPStatus(problem.status).phrase, status=problem.status, detail=problem.detail)
    return JSONResponse(body.model_dump(), problem.status, problem.headers, MEDIA_TYPE)


def invalid(error: RequestValidationError) -> ProblemError:
    """A parameter is not what it must be."""
    detail = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def documented(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """These refusals for a route's OpenAPI description."""
    schema = ProblemReply.model_json_schema()
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
