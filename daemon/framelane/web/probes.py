"""The `/healthz` and `/readyz` routes, for systemd, Docker, Kubernetes and load balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from framelane.telemetry.health import Health


class HealthSource(Protocol):
    """The daemon's health; called on the HTTP thread, so it must be quick and thread-safe."""

    def liveness(self) -> Health:
        """Return whether the process makes progress; if not, it must be restarted."""
        ...

    def readiness(self) -> Health:
        """Return whether the daemon does its work now."""
        ...


class HealthReply(BaseModel):
    """A verdict, and the reasons for a bad one."""

    ok: bool = Field(description="The verdict; the status code is 200 if true, else 503.")
    reasons: list[str] = Field(description="What is wrong, one sentence each.")


def router(health: HealthSource) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["health"])
    replies: dict[int | str, dict[str, object]] = {503: {"model": HealthReply}}

    @routes.get("/healthz", response_model=HealthReply, responses=replies)
    async def get_health() -> JSONResponse:
        """Return whether the process is alive: its threads run, and frames that arrive are inferred."""
        return _reply(health.liveness())

    @routes.get("/readyz", response_model=HealthReply, responses=replies)
    async def get_readiness() -> JSONResponse:
        """Return whether it works: models loaded, broker reachable or messages queued, streams live."""
        return _reply(health.readiness())

    return routes


def _reply(health: Health) -> JSONResponse:
    body = HealthReply(ok=health.ok, reasons=list(health.reasons))
    return JSONResponse(body.model_dump(), 200 if health.ok else 503)
