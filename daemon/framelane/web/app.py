"""Puts the routes together behind the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from framelane import __version__
from framelane.web import metrics as metrics_routes
from framelane.web import probes as probe_routes
from framelane.web import status as status_routes
from framelane.web import streams as stream_routes
from framelane.web.guard import Guard
from framelane.web.problem import ProblemError, invalid, problem_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import APIRouter
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

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
) -> ASGIApp:
    """The HTTP application.

    Args:
        health: the verdicts behind /healthz and /readyz.
        metrics: body and content type of /metrics for an Accept header.
        status: the reply to /api/status.
        token: bearer token that all but the probes ask for; None for none.
        detect: the route of `/api/detect`; None for none.
        editor: who lists and changes streams; None for no such routes.

    A new topic is a new file with a `router` of its own, and one line here.
    """
    app = FastAPI(
        title="Framelane", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    # The guard checks the token; this only tells readers of /openapi.json about it.
    locked = [Depends(HTTPBearer(auto_error=False))] if token is not None else []
    app.include_router(probe_routes.router(health))
    app.include_router(metrics_routes.router(metrics), dependencies=locked)
    app.include_router(status_routes.router(status), dependencies=locked)
    if detect is not None:
        app.include_router(detect, dependencies=locked)
    if editor is not None:
        writers = [] if token is not None else [Depends(stream_routes.only_from_here)]
        app.include_router(stream_routes.router(editor, writers), dependencies=locked)
    return Guard(app, token)


async def _problem(_request: Request, error: Exception) -> Response:
    """What no route takes: an unknown path, or a method that it doesn't know."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what the handler is for
    return problem_response(ProblemError(error.status_code, error.detail, error.headers))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what the handler is for
    return problem_response(invalid(error))
