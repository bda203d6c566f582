"""The live page: static files of the package, which hold no data and need no token."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.resources.abc import Traversable

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)


def page_files() -> Mapping[str, tuple[bytes, str]]:
    """Return content and type of each of the page's files, by URL path."""
    found = {f"/page/{each.name}": each for each in files("framelane.web").joinpath("static").iterdir()}
    return {
        "/" if path.endswith("/index.html") else path: (file.read_bytes(), _TYPES[_suffix(file)])
        for path, file in found.items()
        if _suffix(file) in _TYPES
    }


def router(pages: Mapping[str, tuple[bytes, str]]) -> APIRouter:
    """Return a route for each file: what is not listed here has no path."""
    routes = APIRouter(include_in_schema=False)
    for path, (content, kind) in pages.items():
        routes.add_api_route(path, _reply(content, kind), methods=["GET"])
    return routes


def _reply(content: bytes, kind: str) -> Callable[[Request], Response]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag, "Content-Security-Policy": _POLICY}

    def page(request: Request) -> Response:
        """Return the file, unless the browser has it."""
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return page


def _suffix(file: Traversable) -> str:
    return "." + file.name.rpartition(".")[2]
