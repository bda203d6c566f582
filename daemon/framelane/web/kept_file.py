"""Answers with a file that may be deleted at any moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastapi import HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class KeptFileResponse(FileResponse):
    """A file that is opened before the answer begins: what is deleted meanwhile is sent whole.

    FileResponse opens it after the headers, and then breaks the connection if it is gone.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file; raise HTTPException if it is gone."""
        try:
            descriptor = await run_in_threadpool(os.open, self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise HTTPException(404, "the file is gone") from error
        try:
            # It leads to the open file, also once that has no name any more: proc(5).
            self.path = f"/proc/self/fd/{descriptor}"
            await super().__call__(scope, receive, send)
        finally:
            os.close(descriptor)
