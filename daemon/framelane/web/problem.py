"""HTTP error responses as `application/problem+json` (RFC 9457)."""

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
    detail: str = Field(description="What is wrong with this request, and what to do.")


class ProblemError(Exception):
    """The request is refused with this status."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.detail = detail
        self.headers = headers
        super().__init__(detail)


def problem_response(problem: ProblemError) -> JSONResponse:
    """Return the response for a refusal."""
    body = ProblemReply(title=HTTPStatus(problem.status).phrase, status=problem.status, detail=problem.detail)
    return JSONResponse(body.model_dump(), problem.status, problem.headers, MEDIA_TYPE)


def invalid(error: RequestValidationError) -> ProblemError:
    """Return the refusal for an invalid parameter."""
    detail = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def documented(
    statuses: Iterable[int], reply: type[ProblemReply] = ProblemReply
) -> dict[int | str, dict[str, Any]]:
    """Return refusals for a route's OpenAPI description; `web/openapi.py` adds the schemas."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{reply.__name__}"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
