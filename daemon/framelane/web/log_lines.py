"""The route `GET /api/log`: the newest lines of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.core.log_tail import LogLine

_MOST_NUMBER = 1 << 53
_After = Annotated[int, Query(ge=0, le=_MOST_NUMBER, description="Only lines after this number.")]
_Level = Annotated[Literal["info", "warning"], Query(description="The least severe level.")]


class LineReply(BaseModel):
    """One line; credentials are `***`."""

    number: int = Field(description="Counts the lines of this process; a restart begins again.")
    at: str = Field(description="When it was written, in RFC 3339.")
    level: str
    logger: str
    text: str = Field(description="Its event and fields, at most 1,000 characters.")


class LogReply(BaseModel):
    """The newest lines, the oldest first: at most 200 below warning, and 200 from there on."""

    run: str = Field(description="Tells one process from the next, whose numbers begin again.")
    lines: list[LineReply]


def router(lines: Callable[[int, bool], Sequence[LogLine]], run: str) -> APIRouter:
    """Return the route.

    Args:
        lines: returns the lines after a number, all or those from warning on.
        run: of this process.
    """
    routes = APIRouter(prefix="/api", tags=["status"])

    @routes.get("/log")
    async def get_log(level: _Level = "info", after: _After = 0) -> LogReply:
        """Return the newest lines of the log, those of worker processes a second later."""
        found = lines(after, level == "warning")
        return LogReply(run=run, lines=[LineReply(**line._asdict()) for line in found])

    return routes
