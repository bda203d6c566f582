"""Reads the body of a request: no more of it, and for no longer, than its route takes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from fastapi import Request

    from framelane.web.problem import ProblemError


async def read_body(
    request: Request, most_bytes: int, timeout_s: float, too_large: ProblemError, too_slow: ProblemError
) -> bytes:
    """The body, refused as soon as it is seen to be too large or too slow.

    Raises:
        ProblemError: `too_large` or `too_slow`.
    """
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and int(told) > most_bytes:
        raise too_large
    try:
        body = await asyncio.wait_for(_first(request, most_bytes), timeout_s)
    except (asyncio.TimeoutError, ClientDisconnect) as error:
        raise too_slow from error
    if len(body) > most_bytes:
        raise too_large
    return body


async def _first(request: Request, most_bytes: int) -> bytes:
    """The body, or the first of it where it is larger than allowed."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            break
    return bytes(body)
