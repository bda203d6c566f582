"""The `/metrics` route, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable


def router(metrics: Callable[[str], tuple[bytes, str]]) -> APIRouter:
    """Return the route; `metrics` is a MetricsPage: it returns body and content type for an Accept header."""
    routes = APIRouter(tags=["metrics"])

    text = {"schema": {"type": "string"}}
    content = {"text/plain": text, "application/openmetrics-text": text}

    @routes.get("/metrics", response_class=Response, responses={200: {"content": content}})
    async def get_metrics(request: Request) -> Response:
        """Return all metrics: OpenMetrics if the Accept header asks for it, else Prometheus text."""
        body, content_type = metrics(request.headers.get("accept", ""))
        return Response(body, media_type=content_type)

    return routes
