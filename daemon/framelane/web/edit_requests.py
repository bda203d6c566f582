"""Reads the options in a request to change or probe a stream, and answers with the outcome or the refusal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from framelane.core.errors import (
    BusyError,
    ConfigError,
    ConflictError,
    Finding,
    FramelaneError,
    NotStoredError,
    RestartNeededError,
    UnknownStreamError,
)
from framelane.core.redact import redact
from framelane.web.body import read_body
from framelane.web.problem import MEDIA_TYPE, ProblemError, problem_response
from framelane.web.stream_replies import FindingReply, RefusalReply

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from fastapi import Request

Options: TypeAlias = dict[str, Any]

MOST_BYTES = 262_144
BODY_S = 10.0
# Most specific first; any other FramelaneError is our fault, or a model's.
_ANSWERS: tuple[tuple[type[FramelaneError], int, str], ...] = (
    (UnknownStreamError, 404, "there is no such stream"),
    (ConflictError, 409, "the change conflicts with the current state"),
    (RestartNeededError, 409, "a restart is needed; nothing was changed"),
    (ConfigError, 422, "the configuration has findings; nothing was changed"),
    (BusyError, 429, "too many requests of this kind are in progress"),
    (FramelaneError, 500, "the change failed; nothing was changed"),
)


def options_body(schema: str) -> dict[str, Any]:
    """Return what OpenAPI says of a body that `answer_with_options` reads; see `web/openapi.py`."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"requestBody": {"required": True, "content": content}}


async def answer(work: Callable[[], JSONResponse]) -> JSONResponse:
    """Run the work on another thread, since it may take a while; return its answer or the refusal."""
    try:
        return await run_in_threadpool(work)
    except FramelaneError as error:
        return _problem(error)


async def answer_with_options(
    request: Request, work: Callable[[Options], JSONResponse], gone: threading.Event | None = None
) -> JSONResponse:
    """Do the same for work that takes the options in the request's body.

    Args:
        request: the request.
        work: takes the options.
        gone: set once nobody waits for the answer any more.
    """
    try:
        options = await _options(request)
    except ProblemError as error:
        return problem_response(error)
    watch = asyncio.ensure_future(_note_departure(request, gone)) if gone else None
    try:
        return await answer(lambda: work(options))
    finally:
        if watch is not None:
            watch.cancel()


async def _note_departure(request: Request, gone: threading.Event) -> None:
    """Set `gone` once the client has closed the connection, which is all that comes after the body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


async def _options(request: Request) -> Options:
    """Return the body, a JSON object.

    The content type is required, because browsers send it from another site's page only after a CORS
    preflight.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(415, "the content type must be application/json")
    body = await read_body(
        request,
        MOST_BYTES,
        BODY_S,
        too_large=ProblemError(413, f"a stream's options take no more than {MOST_BYTES} bytes"),
        too_slow=ProblemError(408, f"the body was not complete within {BODY_S:g} s"),
    )
    try:
        options = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, f"the body is not JSON: {error}") from error
    if not isinstance(options, dict):
        raise ProblemError(400, "the body must be a JSON object with a stream's options")
    return options


def _problem(error: FramelaneError) -> JSONResponse:
    status, title = next((code, title) for kind, code, title in _ANSWERS if isinstance(error, kind))
    findings = [_finding(each) for each in error.findings] if isinstance(error, ConfigError) else []
    headers = {"Retry-After": str(error.retry_s)} if isinstance(error, BusyError) else None
    reply = RefusalReply(
        title=title,
        status=status,
        detail=redact(str(error)),
        findings=findings,
        not_stored=isinstance(error, NotStoredError),
    )
    return JSONResponse(reply.model_dump(), status, headers, MEDIA_TYPE)


def _finding(finding: Finding) -> FindingReply:
    return FindingReply(
        path=finding.path, message=redact(finding.message), file=finding.file, line=finding.line
    )
