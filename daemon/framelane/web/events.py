"""The `/api/events` routes: snapshots and clips of events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from fastapi import APIRouter, HTTPException, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from framelane.web.kept_file import KeptFileResponse
from framelane.web.problem import documented

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path as FilePath

_WAIT_S = 1.0
"""How long a snapshot is waited for that is not there: its event may have come first."""
_AGAIN_S = 0.2
"""How long a clip is waited for: folders that were read just now are not read again for a tenth of a second."""
_LOOK_S = 0.1
_QUALITY = 85
# A file of an event never changes, but it may be deleted.
_HEADERS = {"Cache-Control": "private, max-age=3600"}
_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_EventId = Annotated[str, Path(pattern=_UUID, description="Id of the event, as in its message.")]
_View = Annotated[
    Literal["crop", "whole"], Query(description="The object alone, or the whole frame, which may be missing.")
]
_Annotated = Annotated[bool, Query(description="Draw the object's box and label.")]


class EventFiles(Protocol):
    """Finds the files of events."""

    def find(self, event: str, suffix: str) -> FilePath | None:
        """Return a file of an event; None if there is none."""
        ...


def router(files: EventFiles, annotate: Callable[[bytes, int], bytes]) -> APIRouter:
    """Return the routes.

    Args:
        files: finds the files.
        annotate: draws the object's box into a JPEG of the given quality; raises ValueError if it can't.
    """
    routes = APIRouter(prefix="/api/events", tags=["events"])

    @routes.get("/{event}/snapshot.jpg", response_class=FileResponse, responses=documented((404, 422)))
    async def get_snapshot(
        event: _EventId, view: _View = "crop", *, annotated: _Annotated = False
    ) -> Response:
        """Return the best view of an event's object as JPEG."""
        path = await _found(files, event, "jpg" if view == "crop" else "whole.jpg", _WAIT_S)
        if not annotated:
            return KeptFileResponse(path, media_type="image/jpeg", headers=_HEADERS)
        try:
            data = await run_in_threadpool(lambda: annotate(path.read_bytes(), _QUALITY))
        except (FileNotFoundError, ValueError) as error:
            raise HTTPException(404, "the snapshot is gone") from error
        return Response(data, media_type="image/jpeg", headers=_HEADERS)

    @routes.get(
        "/{event}/clip.mp4",
        response_class=FileResponse,
        responses=documented((404, 416, 422)),
    )
    async def get_clip(event: _EventId) -> FileResponse:
        """Return the clip of an event as MP4, or the range of it that is asked for."""
        path = await _found(files, event, "mp4", _AGAIN_S)
        return KeptFileResponse(path, media_type="video/mp4", headers=_HEADERS)

    return routes


async def _found(files: EventFiles, event: str, suffix: str, wait_s: float) -> FilePath:
    """Return a file; raise HTTPException if there is none within `wait_s`."""
    deadline_s = asyncio.get_running_loop().time() + wait_s
    while (path := await run_in_threadpool(files.find, event, suffix)) is None:
        if asyncio.get_running_loop().time() >= deadline_s:
            raise HTTPException(404, f"event {event} has no such file, or no longer")
        await asyncio.sleep(_LOOK_S)
    return path
