"""`/metrics`, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable


def router(metrics: Callable[[str], tuple[bytes, str]]) -> APIRouter:
    """The route; `metrics` gives body and content type for an Accept header, as a MetricsPage does."""
    routes = APIRouter(tags=["metrics"])

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def page(request: Request) -> Response:
        """All metrics, as OpenMetrics if the Accept header asks for it, else as Prometheus text."""
        body, content_type = metrics(request.headers.get("accept", ""))
        return Response(body, media_type=content_type)

    return routes
