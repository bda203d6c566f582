"""`/api/streams` and `/api/reload`: what the daemon watches, and changes of it while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from framelane.config.address import is_loopback
from framelane.core.errors import (
    ConfigError,
    ConflictError,
    Finding,
    FramelaneError,
    RestartNeededError,
    UnknownStreamError,
)
from framelane.core.redact import redact
from framelane.web.body import read_body
from framelane.web.problem import MEDIA_TYPE, ProblemError, ProblemReply, problem_response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi.params import Depends

Options: TypeAlias = dict[str, Any]

MOST_BYTES = 65_536
BODY_S = 10.0
# Most special first; what an error is not here is our own fault, or a model's.
_ANSWERS: tuple[tuple[type[FramelaneError], int, str], ...] = (
    (UnknownStreamError, 404, "there is no such stream"),
    (ConflictError, 409, "that can't be done as things stand"),
    (RestartNeededError, 409, "a restart is needed; nothing was changed"),
    (ConfigError, 422, "the configuration has faults; nothing was changed"),
    (FramelaneError, 500, "the change failed; nothing was changed"),
)


class Outcome(Protocol):
    """What a change came to."""

    @property
    def added(self) -> Sequence[str]:
        """Streams that came."""
        ...

    @property
    def changed(self) -> Sequence[str]:
        """Streams that were opened anew."""
        ...

    @property
    def removed(self) -> Sequence[str]:
        """Streams that went."""
        ...

    @property
    def took_s(self) -> float:
        """Seconds that it took."""
        ...


class StreamEditor(Protocol):
    """Who lists and changes streams; every call may take a while, and raises FramelaneError where it can't be done."""

    def listed(self) -> list[Options]:
        """All streams."""
        ...

    def shown(self, stream: str) -> Options:
        """One stream: options as they are in effect, URL without credentials, `source` and `persisted`."""
        ...

    def add(self, options: Options, *, persist: bool | None) -> Outcome:
        """Add a stream."""
        ...

    def change(self, stream: str, options: Options, *, persist: bool | None) -> Outcome:
        """Give options of a stream new values."""
        ...

    def remove(self, stream: str, *, persist: bool | None) -> Outcome:
        """Remove a stream."""
        ...

    def reload(self) -> Outcome:
        """Read the files again."""
        ...


class OutcomeReply(BaseModel):
    """What a change came to."""

    added: list[str] = Field(description="Ids of streams that came.")
    changed: list[str] = Field(description="Ids of streams that were opened anew.")
    removed: list[str] = Field(description="Ids of streams that went.")
    took_ms: float = Field(description="Milliseconds from request to effect; cameras connect after that.")
    stream: dict[str, Any] | None = Field(description="The stream, after POST and PATCH.")


class FindingReply(BaseModel):
    """One thing wrong."""

    path: str = Field(description="Key path within the request, or within `file`.")
    message: str
    file: str = Field(description="The file it stands in; empty for the request and the main file.")
    line: int = Field(description="The line in that file; 0 where there is none.")


class RefusalReply(ProblemReply):
    """Why a change was not made."""

    findings: list[FindingReply] = Field(description="Everything wrong with a configuration, at once.")


_REPLIES: dict[int | str, dict[str, Any]] = {
    status: {"model": RefusalReply, "content": {MEDIA_TYPE: {}}} for status in (404, 409, 422, 500)
}
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}


def only_from_here(request: Request) -> None:
    """Lets a change without a token through only if it was made on this host, by no other site's page.

    A browser sends along which page asks, and its Host is the name in the page's URL, which DNS may point at us.

    Raises:
        HTTPException: 403.
    """
    client = request.client.host if request.client is not None else ""
    origin = request.headers.get("origin")
    hosts = [
        client,
        _host(f"//{request.headers.get('host', '')}"),
        *([] if origin is None else [_host(origin)]),
    ]
    if not all(is_loopback(host) for host in hosts):
        raise HTTPException(
            403, "changes need a token unless they are made on this host; set http.token_file"
        )


def router(editor: StreamEditor, writers: Sequence[Depends]) -> APIRouter:
    """The routes; `writers` guard those that change something."""
    routes = APIRouter(prefix="/api", tags=["streams"], responses=_REPLIES)
    writes = APIRouter(dependencies=writers)

    @routes.get("/streams", response_model=list[dict[str, Any]])
    async def list_streams() -> JSONResponse:
        """All streams with their options as they are in effect; URLs are shown without credentials."""
        return await _answered(lambda: JSONResponse(editor.listed()))

    @routes.get("/streams/{stream}", response_model=dict[str, Any])
    async def get_stream(stream: str) -> JSONResponse:
        """One stream."""
        return await _answered(lambda: JSONResponse(editor.shown(stream)))

    @writes.post("/streams", status_code=201, openapi_extra=_BODY, response_model=OutcomeReply)
    async def add_stream(request: Request, *, persist: bool | None = None) -> JSONResponse:
        """Add a stream: `id`, `url` and any option of the YAML's `streams`."""

        def add(options: Options) -> JSONResponse:
            return _done(editor.add(options, persist=persist), 201, editor.shown(str(options["id"])))

        return await _changed(request, add)

    @writes.patch("/streams/{stream}", openapi_extra=_BODY, response_model=OutcomeReply)
    async def change_stream(stream: str, request: Request, *, persist: bool | None = None) -> JSONResponse:
        """Give options new values, null included; those that are not named stay."""

        def change(options: Options) -> JSONResponse:
            return _done(editor.change(stream, options, persist=persist), 200, editor.shown(stream))

        return await _changed(request, change)

    @writes.delete("/streams/{stream}", response_model=OutcomeReply)
    async def remove_stream(stream: str, *, persist: bool | None = None) -> JSONResponse:
        """Remove a stream."""
        return await _answered(lambda: _done(editor.remove(stream, persist=persist)))

    @writes.post("/reload", response_model=OutcomeReply)
    async def reload() -> JSONResponse:
        """Read the configuration's files again and go over to what they say."""
        return await _answered(lambda: _done(editor.reload()))

    routes.include_router(writes)
    return routes


async def _answered(work: Callable[[], JSONResponse]) -> JSONResponse:
    """The work's answer, or why it can't be done; on another thread, for it may take a while."""
    try:
        return await run_in_threadpool(work)
    except FramelaneError as error:
        return _problem(error)


async def _changed(request: Request, change: Callable[[Options], JSONResponse]) -> JSONResponse:
    """The answer to a change with options in its body."""
    try:
        options = await _options(request)
    except ProblemError as error:
        return problem_response(error)
    return await _answered(lambda: change(options))


async def _options(request: Request) -> Options:
    """The body, a JSON object. Its type must be said: a page of another site can't say it without being asked."""
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


def _done(outcome: Outcome, status: int = 200, stream: Options | None = None) -> JSONResponse:
    reply = OutcomeReply(
        added=list(outcome.added),
        changed=list(outcome.changed),
        removed=list(outcome.removed),
        took_ms=round(outcome.took_s * 1e3, 1),
        stream=stream,
    )
    return JSONResponse(reply.model_dump(), status)


def _problem(error: FramelaneError) -> JSONResponse:
    status, title = next((code, title) for kind, code, title in _ANSWERS if isinstance(error, kind))
    findings = [_finding(each) for each in error.findings] if isinstance(error, ConfigError) else []
    reply = RefusalReply(title=title, status=status, detail=redact(str(error)), findings=findings)
    return JSONResponse(reply.model_dump(), status, media_type=MEDIA_TYPE)


def _finding(finding: Finding) -> FindingReply:
    return FindingReply(
        path=finding.path, message=redact(finding.message), file=finding.file, line=finding.line
    )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
