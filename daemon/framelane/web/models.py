"""The `/api/models` route: the models that a stream can use, and the labels that they know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from framelane.core.frames import ModelInfo


class UsableModelReply(BaseModel):
    """A configured model; null for what is known only once a stream uses it."""

    name: str = Field(description="Its key in the configuration.")
    backend: str | None
    labels: list[str] | None = Field(description="By class id.")


def router(configured: Callable[[], Iterable[str]], loaded: Callable[[], Iterable[ModelInfo]]) -> APIRouter:
    """Return the route.

    Args:
        configured: returns the keys of all models, in the order of the configuration.
        loaded: returns what is known of those that have been loaded.
    """
    routes = APIRouter(prefix="/api", tags=["status"])

    @routes.get("/models")
    async def get_models() -> list[UsableModelReply]:
        """Return the models that a stream can use; the first one is the default."""
        known = {each.name: each for each in loaded()}
        return [_reply(name, known.get(name)) for name in configured()]

    return routes


def _reply(name: str, model: ModelInfo | None) -> UsableModelReply:
    return UsableModelReply(
        name=name,
        backend=None if model is None else model.backend,
        labels=None if model is None else list(model.labels),
    )
