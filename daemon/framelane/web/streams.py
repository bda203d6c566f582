"""The `/api/streams` and `/api/reload` routes: list and change streams while the daemon runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse

from framelane.config.address import is_loopback
from framelane.web.edit_requests import answer, answer_with_options, options_body
from framelane.web.hosts import host_of
from framelane.web.problem import documented
from framelane.web.stream_replies import OutcomeReply, RefusalReply, StreamReply

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from fastapi.params import Depends

    from framelane.web.edit_requests import Options


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


class Probed(Protocol):
    """What a probe found."""

    @property
    def reason(self) -> str:
        """`ok`, or why no frame came."""
        ...

    @property
    def text(self) -> str:
        """The reason as a sentence."""
        ...

    @property
    def remedy(self) -> str:
        """What to check."""
        ...

    @property
    def video(self) -> Mapping[str, Any] | None:
        """The fields of `VideoReply`; None without a frame."""
        ...

    @property
    def image(self) -> bytes | None:
        """The first frame as JPEG."""
        ...


class StreamEditor(Protocol):
    """Lists, changes and probes streams; a call may take a while, and raises FramelaneError if it fails."""

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

    def probe(self, options: Options, gone: threading.Event) -> Probed:
        """Open a stream that is not configured, and change nothing; end early if `gone` is set."""
        ...


# Refusals of each route; 401, 421 and 503 come from SecurityMiddleware.
_READS = documented((500,), RefusalReply)
_READS_ONE = documented((404, 422, 500), RefusalReply)
_RELOADS = documented((403,)) | documented((409, 422, 500), RefusalReply)
_REMOVES = documented((403,)) | documented((404, 409, 422, 500), RefusalReply)
_ADDS = documented((400, 403, 408, 413, 415)) | documented((409, 422, 500), RefusalReply)
_CHANGES = _ADDS | documented((404,), RefusalReply)


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
        return await answer(lambda: JSONResponse(editor.listed()))

    @routes.get("/streams/{stream}", response_model=StreamReply, responses=_READS_ONE)
    async def get_stream(stream: str) -> JSONResponse:
        """Return one stream."""
        return await answer(lambda: JSONResponse(editor.shown(stream)))

    @writes.post(
        "/streams",
        status_code=201,
        openapi_extra=options_body("NewStream"),
        response_model=OutcomeReply,
        responses=_ADDS,
    )
    async def add_stream(request: Request, *, persist: bool | None = None) -> JSONResponse:
        """Add a stream: `id`, `url` and any option of `streams` in the YAML file."""

        def add(options: Options) -> JSONResponse:
            return _reply(editor.add(options, persist=persist), 201, editor.shown(str(options["id"])))

        return await answer_with_options(request, add)

    @writes.patch(
        "/streams/{stream}",
        openapi_extra=options_body("StreamChange"),
        response_model=OutcomeReply,
        responses=_CHANGES,
    )
    async def change_stream(stream: str, request: Request, *, persist: bool | None = None) -> JSONResponse:
        """Change options of a stream; null is a value, and options that are not named stay."""

        def change(options: Options) -> JSONResponse:
            return _reply(editor.change(stream, options, persist=persist), 200, editor.shown(stream))

        return await answer_with_options(request, change)

    @writes.delete("/streams/{stream}", response_model=OutcomeReply, responses=_REMOVES)
    async def remove_stream(stream: str, *, persist: bool | None = None) -> JSONResponse:
        """Remove a stream."""
        return await answer(lambda: _reply(editor.remove(stream, persist=persist)))

    @writes.post("/reload", response_model=OutcomeReply, responses=_RELOADS)
    async def reload() -> JSONResponse:
        """Read the configuration's files again and apply them."""
        return await answer(lambda: _reply(editor.reload()))

    routes.include_router(writes)
    return routes


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
