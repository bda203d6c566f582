"""Reads the body of a request within a size and a time limit."""

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
    """Return the body, or refuse it as soon as it proves too large or too slow.

    Raises:
        ProblemError: `too_large` or `too_slow`.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > most_bytes:
        raise too_large
    try:
        body = await asyncio.wait_for(_first(request, most_bytes), timeout_s)
    except (asyncio.TimeoutError, ClientDisconnect) as error:
        raise too_slow from error
    if len(body) > most_bytes:
        raise too_large
    return body


async def _first(request: Request, most_bytes: int) -> bytes:
    """Return the body; if it is larger than `most_bytes`, only a first part that exceeds them."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            break
    return bytes(body)
