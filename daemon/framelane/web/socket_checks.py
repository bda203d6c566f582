"""Checks who opens a WebSocket: browsers ask no server before they let another site's page do so."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from framelane.web.hosts import host_of
from framelane.web.problem import ProblemError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from starlette.datastructures import Headers

PROTOCOL = "framelane.live.1"
"""The WebSocket's subprotocol."""
_BEARER = "bearer."
"""Precedes the token, in URL-safe Base64 without padding, as a second subprotocol: pages can't set headers."""
_USUAL_PORTS = {"http": (80,), "https": (443,), "": (80, 443)}
"""By scheme. A Host header has no scheme."""


def token_of(subprotocols: Sequence[str]) -> bytes:
    """Return the token that a page offers as a subprotocol; empty without one."""
    given = next((each.removeprefix(_BEARER) for each in subprotocols if each.startswith(_BEARER)), "")
    try:
        return base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def origin_problem(headers: Headers, names: Collection[str]) -> ProblemError | None:
    """Return why the page that opens the WebSocket may not; None if it may.

    The page must come from this listener, as its Host header names it, or from a host of `http.hosts`, whose
    gateway may send another Host. Programs other than browsers send no Origin.
    """
    origin = headers.get("origin")
    if origin is None or host_of(origin) in names or _place(origin) == _place(f"//{headers.get('host', '')}"):
        return None
    text = "the page is from another site; if it should be allowed, add its host to http.hosts"
    return ProblemError(403, text)


def _place(url: str) -> tuple[str, int | None]:
    """Return host and port. The scheme's usual port counts as none, because a Host header leaves it out."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", -1
    return parts.hostname or "", None if port in _USUAL_PORTS.get(parts.scheme, ()) else port
