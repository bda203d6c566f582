"""The `/api/streams` and `/api/reload` routes: list and change streams while the daemon runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import orjson
from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from framelane.config.address import is_loopback
from framelane.core.errors import (
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
from framelane.web.hosts import host_of
from framelane.web.problem import MEDIA_TYPE, ProblemError, documented, problem_response
from framelane.web.stream_replies import FindingReply, OutcomeReply, RefusalReply, StreamReply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi.params import Depends

Options: TypeAlias = dict[str, Any]

MOST_BYTES = 262_144
BODY_S = 10.0
# Most specific first; any other FramelaneError is our fault, or a model's.
_ANSWERS: tuple[tuple[type[FramelaneError], int, str], ...] = (
    (UnknownStreamError, 404, "there is no such stream"),
    (ConflictError, 409, "the change conflicts with the current state"),
    (RestartNeededError, 409, "a restart is needed; nothing was changed"),
    (ConfigError, 422, "the configuration has findings; nothing was changed"),
    (FramelaneError, 500, "the change failed; nothing was changed"),
)


class Outcome(Protocol):
    """The outcome of a change."""

    @property
    def added(self) -> Sequence[str]:
        """Ids of added streams."""
        ...

    @property
    def changed(self) -> Sequence[str]:
        """Ids of changed streams."""
        ...

    @property
    def reopened(self) -> Sequence[str]:
        """Ids of changed streams whose cameras are opened again."""
        ...

    @property
    def removed(self) -> Sequence[str]:
        """Ids of removed streams."""
        ...

    @property
    def took_s(self) -> float:
        """Seconds from request to effect."""
        ...


class StreamEditor(Protocol):
    """Lists and changes streams; every call may take a while, and raises FramelaneError if it fails."""

    def listed(self) -> list[Options]:
        """Return all streams."""
        ...

    def shown(self, stream: str) -> Options:
        """Return one stream: effective options, URL without credentials, `source` and `persisted`."""
        ...

    def add(self, options: Options, *, persist: bool | None) -> Outcome:
        """Add a stream."""
        ...

    def change(self, stream: str, options: Options, *, persist: bool | None) -> Outcome:
        """Change options of a stream."""
        ...

    def remove(self, stream: str, *, persist: bool | None) -> Outcome:
        """Remove a stream."""
        ...

    def reload(self) -> Outcome:
        """Read the files again."""
        ...


# Refusals of each route; 401, 421 and 503 come from SecurityMiddleware.
_READS = documented((500,), RefusalReply)
_READS_ONE = documented((404, 422, 500), RefusalReply)
_RELOADS = documented((403,)) | documented((409, 422, 500), RefusalReply)
_REMOVES = documented((403,)) | documented((404, 409, 422, 500), RefusalReply)
_ADDS = documented((400, 403, 408, 413, 415)) | documented((409, 422, 500), RefusalReply)
_CHANGES = _ADDS | documented((404,), RefusalReply)


def _body(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"requestBody": {"required": True, "content": content}}


def require_local(request: Request) -> None:
    """Allow a change without a token only from this host, and not from another site's page.

    A browser sends the page's site as Origin, and the host name of the URL, which DNS may point at us, as
    Host.

    Raises:
        HTTPException: 403; the client, the Host header or the Origin header is not local.
    """
    client = request.client.host if request.client is not None else ""
    origin = request.headers.get("origin")
    hosts = [
        client,
        host_of(f"//{request.headers.get('host', '')}"),
        *([] if origin is None else [host_of(origin)]),
    ]
    if not all(is_loopback(host) for host in hosts):
        raise HTTPException(403, "changes from other hosts or pages need a token; set http.token_file")


def router(editor: StreamEditor, writers: Sequence[Depends]) -> APIRouter:
    """Return the routes; `writers` are the dependencies of those that change something."""
    routes = APIRouter(prefix="/api", tags=["streams"])
    writes = APIRouter(dependencies=writers)

    @routes.get("/streams", response_model=list[StreamReply], responses=_READS)
    async def list_streams() -> JSONResponse:
        """Return all streams with their effective options; URLs have no credentials."""
        return await _run(lambda: JSONResponse(editor.listed()))

    @routes.get("/streams/{stream}", response_model=StreamReply, responses=_READS_ONE)
    async def get_stream(stream: str) -> JSONResponse:
        """Return one stream."""
        return await _run(lambda: JSONResponse(editor.shown(stream)))

    @writes.post(
        "/streams",
        status_code=201,
        openapi_extra=_body("NewStream"),
        response_model=OutcomeReply,
        responses=_ADDS,
    )
    async def add_stream(request: Request, *, persist: bool | None = None) -> JSONResponse:
        """Add a stream: `id`, `url` and any option of `streams` in the YAML file."""

        def add(options: Options) -> JSONResponse:
            return _reply(editor.add(options, persist=persist), 201, editor.shown(str(options["id"])))

        return await _run_change(request, add)

    @writes.patch(
        "/streams/{stream}",
        openapi_extra=_body("StreamChange"),
        response_model=OutcomeReply,
        responses=_CHANGES,
    )
    async def change_stream(stream: str, request: Request, *, persist: bool | None = None) -> JSONResponse:
        """Change options of a stream; null is a value, and options that are not named stay."""

        def change(options: Options) -> JSONResponse:
            return _reply(editor.change(stream, options, persist=persist), 200, editor.shown(stream))

        return await _run_change(request, change)

    @writes.delete("/streams/{stream}", response_model=OutcomeReply, responses=_REMOVES)
    async def remove_stream(stream: str, *, persist: bool | None = None) -> JSONResponse:
        """Remove a stream."""
        return await _run(lambda: _reply(editor.remove(stream, persist=persist)))

    @writes.post("/reload", response_model=OutcomeReply, responses=_RELOADS)
    async def reload() -> JSONResponse:
        """Read the configuration's files again and apply them."""
        return await _run(lambda: _reply(editor.reload()))

    routes.include_router(writes)
    return routes


async def _run(work: Callable[[], JSONResponse]) -> JSONResponse:
    """Run the work on another thread, since it may take a while; return its answer or the refusal."""
    try:
        return await run_in_threadpool(work)
    except FramelaneError as error:
        return _problem(error)


async def _run_change(request: Request, change: Callable[[Options], JSONResponse]) -> JSONResponse:
    """Answer a change that has options in its body."""
    try:
        options = await _options(request)
    except ProblemError as error:
        return problem_response(error)
    return await _run(lambda: change(options))


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


def _reply(outcome: Outcome, status: int = 200, stream: Options | None = None) -> JSONResponse:
    reply = {
        "added": list(outcome.added),
        "changed": list(outcome.changed),
        "reopened": list(outcome.reopened),
        "removed": list(outcome.removed),
        "took_ms": round(outcome.took_s * 1e3, 1),
        "stream": stream,
    }
    return JSONResponse(reply, status)


def _problem(error: FramelaneError) -> JSONResponse:
    status, title = next((code, title) for kind, code, title in _ANSWERS if isinstance(error, kind))
    findings = [_finding(each) for each in error.findings] if isinstance(error, ConfigError) else []
    reply = RefusalReply(
        title=title,
        status=status,
        detail=redact(str(error)),
        findings=findings,
        not_stored=isinstance(error, NotStoredError),
    )
    return JSONResponse(reply.model_dump(), status, media_type=MEDIA_TYPE)


def _finding(finding: Finding) -> FindingReply:
    return FindingReply(
        path=finding.path, message=redact(finding.message), file=finding.file, line=finding.line
    )
