"""`POST /api/probe`: opens a stream that is not configured, and tells what is in it or why it can't be read."""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from framelane.web.edit_requests import answer_with_options, options_body
from framelane.web.problem import documented
from framelane.web.stream_replies import RefusalReply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi.params import Depends

    from framelane.web.edit_requests import Options
    from framelane.web.streams import StreamEditor

_REFUSALS = documented((400, 403, 408, 413, 415)) | documented((422, 429, 500), RefusalReply)


class VideoReply(BaseModel):
    """What the frames showed, as `framelane probe --json` prints it."""

    codec: str = Field(description="FFmpeg's name.")
    width: int
    height: int
    pixel_format: str = Field(description="FFmpeg's name.")
    declared_fps: float | None = Field(description="Frames per second that the stream declares, if any.")
    measured_fps: float = Field(description="Frames per second that came; 0 if unknown.")
    clock: str = Field(description="Where capture times would come from.")
    clock_offset_ms: float | None = Field(description="The camera's clock minus ours, if it has one.")
    first_frame_s: float = Field(description="Seconds from opening to the first frame.")
    frames: int
    packets: int
    undecodable: int = Field(description="Frames that could not be decoded.")
    transport: str | None = Field(description="`tcp` or `udp` for RTSP.")
    reader: str = Field(description="`framelane` or `ffmpeg`.")
    hints: list[str] = Field(description="Notes and advice.")


class ProbeReply(BaseModel):
    """What a probe found; the request succeeded even if the camera can't be read."""

    reason: str = Field(description="`ok`, or why no frame came, as in a stream's state.")
    text: str = Field(description="The reason as a sentence; empty if a frame came.")
    remedy: str = Field(description="What to check; empty if there is nothing.")
    video: VideoReply | None
    image: str | None = Field(description="The first frame as JPEG in Base64, its longer side at most 960.")


def router(editor: StreamEditor, writers: Sequence[Depends]) -> APIRouter:
    """Return the route; `writers` are its dependencies, since it opens connections as an added stream would."""
    routes = APIRouter(prefix="/api", tags=["streams"], dependencies=list(writers))

    @routes.post(
        "/probe",
        openapi_extra=options_body("ProbedStream"),
        response_model=ProbeReply,
        responses=_REFUSALS,
    )
    async def probe_stream(request: Request) -> JSONResponse:
        """Open a stream for a few seconds, and change nothing.

        The body is that of `POST /api/streams`, without `id`. At most two probes run at once. A probe ends
        when its request is closed.
        """
        gone = threading.Event()

        def probe(options: Options) -> JSONResponse:
            found = editor.probe(options, gone)
            reply = ProbeReply(
                reason=found.reason,
                text=found.text,
                remedy=found.remedy,
                video=None if found.video is None else VideoReply(**found.video),
                image=None if found.image is None else base64.b64encode(found.image).decode(),
            )
            return JSONResponse(reply.model_dump())

        return await answer_with_options(request, probe, gone)

    return routes
