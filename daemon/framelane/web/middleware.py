"""Applies to every request: the checks of Host, token and Origin, a limit on requests, and security headers."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from framelane.web.problem import ProblemError, problem_response
from framelane.web.socket_checks import origin_problem, token_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from framelane.web.hosts import Hosts

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Paths for probes, which have no token; the replies contain only stream ids and one word each."""
MOST_REQUESTS = 64
"""Most requests at once. Probes don't count and are always answered."""

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class SecurityMiddleware:
    """An ASGI application that protects another; every path needs the token except open ones.

    Args:
        app: the protected application.
        token: bearer token required for all but OPEN_PATHS and `pages`; None for none.
        hosts: the names that a request's Host header may have; None for any.
        most: most requests at once.
        pages: paths of files that hold no data.
        named: hosts whose pages may open a WebSocket, besides this one.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        hosts: Hosts | None = None,
        most: int = MOST_REQUESTS,
        pages: Collection[str] = (),
        named: Collection[str] = (),
    ) -> None:
        # compare_digest would accept an empty header.
        if token is not None and not token.strip():
            raise ValueError("the bearer token is empty")
        self._app = app
        # Stripped, because header values arrive stripped.
        self._token = None if token is None else token.strip().encode()
        self._hosts = hosts
        self._most = most
        self._active = 0
        self._pages = frozenset(pages)
        self._named = frozenset(named)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on; add security headers to either answer."""
        if scope["type"] == "websocket":
            await self._open_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                given = {name.lower() for name, _ in headers}
                message["headers"] = headers + [each for each in _HEADERS if each[0] not in given]
            await send(message)

        # HEAD is handled as GET; the server omits the body.
        handled = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        refusal = self._refusal(scope)
        if refusal is not None:
            await problem_response(refusal)(handled, receive, send_with_headers)
        elif scope["path"] in OPEN_PATHS:
            await self._app(handled, receive, send_with_headers)
        else:
            self._active += 1
            try:
                await self._app(handled, receive, send_with_headers)
            finally:
                self._active -= 1

    async def _open_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a WebSocket or pass it on. It does not count as a request: its route has its own limit."""
        headers = Headers(scope=scope)
        refusal = self._host_problem(headers) or origin_problem(headers, self._named)
        if refusal is None and self._token is not None:
            offered = token_of(scope["subprotocols"])
            known = hmac.compare_digest(offered, self._token)
            refusal = None if known else _token_problem(self._token, headers)
        handler = self._app if refusal is None else problem_response(refusal)
        await handler(scope, receive, send)

    def _host_problem(self, headers: Headers) -> ProblemError | None:
        # A request before HTTP/1.1 may have no Host header; browsers always send one.
        host = headers.get("host")
        if self._hosts is not None and host is not None and not self._hosts.knows(host):
            text = "the Host header does not name this listener; if it should, add the name to http.hosts"
            return ProblemError(421, text)
        return None

    def _refusal(self, scope: Scope) -> ProblemError | None:
        headers = Headers(scope=scope)
        problem = self._host_problem(headers)
        if problem is not None or scope["path"] in OPEN_PATHS:
            return problem
        public = self._token is None or scope["path"] in self._pages
        refusal = None if public else _token_problem(self._token or b"", headers)
        if refusal is None and self._active >= self._most:
            text = f"{self._most} requests are in progress: try again"
            return ProblemError(503, text, {"Retry-After": "1"})
        return refusal


def _token_problem(token: bytes, headers: Headers) -> ProblemError | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token):
        return None
    challenge = 'Bearer realm="framelane"' + (', error="invalid_token"' if given else "")
    reason = "the token is wrong" if given else "a bearer token is required"
    return ProblemError(401, reason, {"WWW-Authenticate": challenge})
