"""The route `GET /api/events`: what happened lately, page by page."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, WithJsonSchema

from framelane.core.errors import RequestError
from framelane.core.events import EventKind  # noqa: TC001 - FastAPI reads the annotations
from framelane.core.redact import redact
from framelane.messages.history import Wanted
from framelane.web.problem import documented

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.messages.history import HistoryPage, PastEvent
    from framelane.web.events import EventFiles

MOST_EVENTS = 200
MOST_READERS = 4
"""Pages that are put together at once: each keeps the journal's thread from writing for a moment."""
_TURN_S = 2.0
"""Most seconds that a request waits for its turn."""
_LOOK_S = 0.02
_MOST_VALUES = 32
_ON_ITS_WAY_S = 10.0
"""A snapshot is there this long after its event, or never."""
_STATUSES = {"cursor": 422, "off": 404, "gone": 410, "unavailable": 503}
_EVENT = WithJsonSchema({"$ref": "#/components/schemas/Event"})
_Name = Annotated[str, StringConstraints(max_length=200)]
_Names: TypeAlias = list[_Name]


def _several(description: str) -> Any:  # noqa: ANN401 - FastAPI's own type
    return Query(max_length=_MOST_VALUES, description=f"{description}; may be repeated.")


class HistorySource(Protocol):
    """Knows what happened lately, on any thread."""

    def page(self, wanted: Wanted, cursor: str | None, most: int) -> HistoryPage:
        """Return the newest events, or those of a cursor; may take a while, and raises RequestError."""
        ...


class EventsReply(BaseModel):
    """What happened lately, the newest first."""

    events: list[Annotated[dict[str, Any], _EVENT]] = Field(
        description="As they were published, with `replayed` true. `snapshot_url` and `clip_url` are there "
        "if the file is."
    )
    older: str | None = Field(description="Cursor of the events before these; null if there are none.")
    newer: str = Field(description="Cursor of the events that come after these.")
    trouble: str | None = Field(description="Why the newest events may be missing; null if they are not.")


def router(history: HistorySource, files: EventFiles | None, base_url: str | None) -> APIRouter:
    """Return the route.

    Args:
        history: has the events.
        files: finds snapshots and clips; None if there is no folder for them.
        base_url: of the listener as consumers reach it; None for the address that the request was sent to.
    """
    routes = APIRouter(prefix="/api", tags=["events"])
    readers = 0

    @routes.get("/events", response_model=EventsReply, responses=documented((404, 410, 422)))
    async def list_events(
        request: Request,
        stream: Annotated[_Names, _several("Id of a stream")] = [],  # noqa: B006 - FastAPI copies it
        kind: Annotated[list[EventKind], _several("Kind of event")] = [],  # noqa: B006
        rule: Annotated[_Names, _several("Name of a line or zone")] = [],  # noqa: B006
        label: Annotated[_Names, _several("Label of the object")] = [],  # noqa: B006
        since: Annotated[AwareDatetime | None, Query(description="From this time on.")] = None,
        until: Annotated[AwareDatetime | None, Query(description="Before this time.")] = None,
        cursor: Annotated[
            str | None,
            Query(max_length=200, description="`older` or `newer` of another page, with the same filters."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = 50,
    ) -> JSONResponse:
        """Return events of the last days, the newest first, as `journal.history_events` and others limit them.

        A page may have fewer events than `limit`, or none, and still be followed by others: `older` tells.
        """
        nonlocal readers
        deadline_s = asyncio.get_running_loop().time() + _TURN_S
        while readers >= MOST_READERS:
            if asyncio.get_running_loop().time() >= deadline_s:
                text = f"{MOST_READERS} pages of events are being read: try again"
                raise HTTPException(503, text, {"Retry-After": "1"})
            await asyncio.sleep(_LOOK_S)
        wanted = Wanted(
            frozenset(stream), frozenset(kind), frozenset(rule), frozenset(label), _text(since), _text(until)
        )
        url = base_url or str(request.base_url).rstrip("/")
        readers += 1
        try:
            return await run_in_threadpool(lambda: _reply(history.page(wanted, cursor, limit), files, url))
        except RequestError as error:
            raise HTTPException(_STATUSES.get(error.reason, 503), redact(str(error))) from error
        finally:
            readers -= 1

    return routes


def _reply(
    page: HistoryPage, files: EventFiles | None, url: str, wall: Callable[[], float] = time.time
) -> JSONResponse:
    now = wall()
    return JSONResponse(
        {
            "events": [_with_files(each, files, url, now) for each in page.events],
            "older": page.older,
            "newer": page.newer,
            "trouble": None if page.trouble is None else redact(page.trouble),
        }
    )


def _with_files(event: PastEvent, files: EventFiles | None, url: str, now: float) -> dict[str, Any]:
    """Return an event with the addresses of the files that it has now."""
    body = dict(event.body)
    promised, replayed = body.pop("snapshot_url", None), body.pop("replayed")
    coming = promised is not None and 0 <= now - event.written_at < _ON_ITS_WAY_S
    owner = body.get("of", body["event"])
    body.pop("clip_url", None)
    if files is not None:
        if coming or files.find(body["event"], "jpg") is not None:
            body["snapshot_url"] = f"{url}/api/events/{body['event']}/snapshot.jpg"
        if files.find(owner, "mp4") is not None:
            body["clip_url"] = f"{url}/api/events/{owner}/clip.mp4"
    # The last key, as in messages.
    return {**body, "replayed": replayed}


def _text(moment: datetime | None) -> str:
    """Return a time as messages have it; empty for None."""
    if moment is None:
        return ""
    try:
        return moment.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError as error:
        raise HTTPException(422, "since or until is out of range") from error
