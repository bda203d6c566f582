"""Builds the HTTP application: all routes behind the security middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from framelane import __version__
from framelane.web import metrics as metrics_routes
from framelane.web import page as page_routes
from framelane.web import probes as probe_routes
from framelane.web import status as status_routes
from framelane.web import stream_probe as stream_probe_routes
from framelane.web import streams as stream_routes
from framelane.web.middleware import SecurityMiddleware
from framelane.web.openapi import describe_fully
from framelane.web.page import page_files
from framelane.web.problem import ProblemError, documented, invalid, problem_response

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fastapi import APIRouter
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from framelane.web.hosts import Hosts
    from framelane.web.probes import HealthSource
    from framelane.web.status import StatusReply
    from framelane.web.streams import StreamEditor


def create_app(
    health: HealthSource,
    metrics: Callable[[str], tuple[bytes, str]],
    status: Callable[[], StatusReply],
    token: str | None,
    detect: APIRouter | None = None,
    editor: StreamEditor | None = None,
    hosts: Hosts | None = None,
    live: APIRouter | None = None,
    insight: APIRouter | None = None,
    named: Collection[str] = (),
    events: APIRouter | None = None,
) -> ASGIApp:
    """Return the HTTP application.

    To add a topic, add a file with a `router` and one line here.

    Args:
        health: the verdicts behind /healthz and /readyz.
        metrics: returns body and content type of /metrics for an Accept header.
        status: returns the reply to /api/status.
        token: bearer token required for all but the probes; None for none.
        detect: the route of `/api/detect`; None for none.
        editor: lists, changes and probes streams; None for no such routes.
        hosts: the names that a request's Host header may have; None for any.
        live: the route of `/api/live`; None for neither that nor the page.
        insight: the routes of a stream's past, of the node's stages and of rules; None for none.
        named: hosts whose pages may watch, besides this one.
        events: the routes of events, their snapshots and clips; None for none.
    """
    app = FastAPI(
        title="Framelane",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The function's name, which generated clients use for their methods.
        generate_unique_id_function=lambda route: route.name,
        responses=documented((421,)),
    )
    describe_fully(app)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    # SecurityMiddleware checks the token; this only documents it in /openapi.json.
    locked = [Depends(HTTPBearer(auto_error=False))] if token is not None else []
    refusals = documented((503,) if token is None else (401, 503))
    app.include_router(probe_routes.router(health))
    app.include_router(metrics_routes.router(metrics), dependencies=locked, responses=refusals)
    app.include_router(status_routes.router(status), dependencies=locked, responses=refusals)
    for optional in (insight, events, detect):
        if optional is not None:
            app.include_router(optional, dependencies=locked, responses=refusals)
    if editor is not None:
        writers = [] if token is not None else [Depends(stream_routes.require_local)]
        for routes in (stream_routes.router(editor, writers), stream_probe_routes.router(editor, writers)):
            app.include_router(routes, dependencies=locked, responses=refusals)
    pages = {} if live is None else page_files()
    if live is not None:
        app.include_router(live)
        app.include_router(page_routes.router(pages))
    return SecurityMiddleware(app, token, hosts, pages=pages, named=named)


async def _problem(_request: Request, error: Exception) -> Response:
    """Answer requests that match no route: unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what the handler is for
    headers = dict(error.headers or {})
    if headers.get("allow", headers.get("Allow")) == "GET":
        headers = {"Allow": "GET, HEAD"}
    return problem_response(ProblemError(error.status_code, error.detail, headers))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what the handler is for
    return problem_response(invalid(error))
