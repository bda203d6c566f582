"""Fetches one stream's data over HTTP, with its login, cookies, redirects and certificates."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, cast
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import (
    HTTPCookieProcessor,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from framelane import __version__
from framelane.core.errors import SourceError
from framelane.sources.network.certificates import refusal_error, tls_context
from framelane.sources.network.ffmpeg_errors import number_error, status_error, unresolved_error
from framelane.sources.rtsp.auth import Credentials, Login

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from framelane.config.sections.stream import StreamOptions
    from framelane.core.stream_reasons import StreamReason

NOT_MODIFIED = 304
_UNAUTHORIZED = 401
_OWN_WORDS = frozenset({400, 401, 403, 404, 429})
_PORTS = {"http": 80, "https": 443}
_CHUNK_BYTES = 1 << 16


# First match wins.
_MEANINGS: tuple[tuple[type, tuple[StreamReason, str]], ...] = (
    (ssl.SSLError, ("unreachable", "the TLS handshake fails; check that the server speaks HTTPS")),
    (OSError, ("lost", "the other side closed the connection")),
    (object, ("protocol", "the server redirects to an address that is not HTTP")),
)


class BrokenBodyError(Exception):
    """The connection ended before the whole body had come."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for one body.

    Attributes:
        bytes: most bytes.
        seconds: most seconds from the first byte to the last.
    """

    bytes: int
    seconds: float


class Response:
    """An HTTP response with an unread body; a context manager."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers
        self.url = response.url
        self.media_type = response.headers.get_content_type()

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()

    def read(self, limits: Limits) -> bytes:
        """Return the whole body.

        Raises:
            BrokenBodyError: the connection ended early.
            SourceError: the body is too large, or takes too long.
        """
        pieces: list[bytes] = []
        size, deadline_s = 0, time.monotonic() + limits.seconds
        try:
            while piece := self._response.read1(_CHUNK_BYTES):
                pieces.append(piece)
                size += len(piece)
                if size > limits.bytes:
                    raise SourceError(
                        "invalid", f"the server sends more than {limits.bytes >> 20} MiB at once"
                    )
                if time.monotonic() > deadline_s:
                    raise SourceError("timeout", "the server answers too slowly")
        except (ConnectionError, HTTPException) as error:
            raise BrokenBodyError from error
        except OSError as error:
            raise connection_error(error) from None
        if self._response.length:
            raise BrokenBodyError
        return b"".join(pieces)


class HttpClient:
    """Sends one stream's GET requests. The login goes only to the server of the stream's URL.

    Args:
        url: the stream's URL, with or without a login.
        options: the stream's configuration.
    """

    def __init__(self, url: str, options: StreamOptions) -> None:
        parts = urlsplit(url)
        demands = parts.scheme.lower() == "https" or not options.tls.verify
        self._userinfo, _, host = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=host).geturl()
        self._origin = _origin(parts)
        self._login = Login(_credentials(parts))
        self._opener = OpenerDirector()
        for handler in (
            ProxyHandler(),
            HTTPHandler(),
            HTTPSHandler(context=tls_context(options) if demands else None),
            HTTPRedirectHandler(),
            HTTPCookieProcessor(),
            HTTPErrorProcessor(),
            HTTPDefaultErrorHandler(),
            UnknownHandler(),
        ):
            self._opener.add_handler(handler)

    def with_login(self, url: str) -> str:
        """Return a URL for FFmpeg, with the stream's login if it is on the stream's own server."""
        parts = urlsplit(url)
        if not self._userinfo or _origin(parts) != self._origin:
            return url
        return parts._replace(netloc=f"{self._userinfo}@{parts.netloc.rpartition('@')[2]}").geturl()

    def get(self, url: str, timeout_s: float, headers: Mapping[str, str] | None = None) -> Response:
        """Send a GET request and return the response. Of the error statuses, only 304 counts as a response.

        Raises:
            SourceError: the server can't be reached, or refuses the request.
        """
        while True:
            try:
                return self._open(url, timeout_s, headers or {})
            except HTTPError as error:
                with error:
                    if error.code == NOT_MODIFIED:
                        return Response(cast("HTTPResponse", error.fp))
                    asked = error.headers.get_all("WWW-Authenticate", [])
                    own = _origin(urlsplit(error.url)) == self._origin
                    if error.code == _UNAUTHORIZED and own and self._login.challenge(asked):
                        url = error.url
                        continue
                    raise _refusal(error.code, str(error.reason)) from None
            except URLError as error:
                raise connection_error(error.reason) from None
            except HTTPException:
                raise SourceError("invalid", "the server answers with something other than HTTP") from None
            except (OSError, ValueError) as error:
                raise connection_error(error) from None

    def _open(self, url: str, timeout_s: float, headers: Mapping[str, str]) -> Response:
        parts = urlsplit(url)
        request = Request(url, headers={"User-Agent": f"framelane/{__version__}", **headers})  # noqa: S310 - no other scheme has a handler
        if _origin(parts) == self._origin:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            login = self._login.header("GET", target)
            if login:
                request.add_unredirected_header("Authorization", login)
        response = self._opener.open(request, timeout=timeout_s)
        self._login.accept()
        return Response(cast("HTTPResponse", response))


def connection_error(error: object) -> SourceError:
    """Return the error for a server that can't be reached, with the text that FFmpeg's error for it has."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return refusal_error(error)
    if isinstance(error, socket.gaierror):
        return unresolved_error()
    if isinstance(error, TimeoutError):
        return number_error(errno.ETIMEDOUT)
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return number_error(error.errno)
    return SourceError(*next(meaning for kind, meaning in _MEANINGS if isinstance(error, kind)))


def _refusal(status: int, words: str) -> SourceError:
    if status in _OWN_WORDS:
        return status_error(status)
    return SourceError("rejected", f"the server answers {status} {words}".rstrip())


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    scheme = parts.scheme.lower()
    try:
        return scheme, parts.hostname or "", parts.port or _PORTS.get(scheme)
    except ValueError:
        return scheme, parts.netloc, None


def _credentials(parts: SplitResult) -> Credentials | None:
    if parts.username is None:
        return None
    return Credentials(unquote(parts.username), unquote(parts.password or ""))
