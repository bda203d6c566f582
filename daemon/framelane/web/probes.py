"""`/healthz` and `/readyz`, for systemd, Docker, Kubernetes and load balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from framelane.telemetry.health import Health


class HealthSource(Protocol):
    """Who knows how the daemon is; called on the HTTP thread, so it must be quick and thread-safe."""

    def liveness(self) -> Health:
        """Whether the process should go on, or be restarted."""
        ...

    def readiness(self) -> Health:
        """Whether it does its work now."""
        ...


class HealthReply(BaseModel):
    """A verdict and all that speaks against a good one."""

    ok: bool = Field(description="Whether all is well; the status code says the same, as 200 or 503.")
    reasons: list[str] = Field(description="Why not, one sentence each.")


def router(health: HealthSource) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["health"])
    replies: dict[int | str, dict[str, object]] = {503: {"model": HealthReply}}

    @routes.get("/healthz", response_model=HealthReply, responses=replies)
    async def healthz() -> JSONResponse:
        """Whether the process is alive: its threads run, and frames that arrive are inferred."""
        return _reply(health.liveness())

    @routes.get("/readyz", response_model=HealthReply, responses=replies)
    async def readyz() -> JSONResponse:
        """Whether it works: models loaded, the broker reachable or queued for, streams live."""
        return _reply(health.readiness())

    return routes


def _reply(health: Health) -> JSONResponse:
    body = HealthReply(ok=health.ok, reasons=list(health.reasons))
    return JSONResponse(body.model_dump(), 200 if health.ok else 503)
