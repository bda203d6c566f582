"""Downloads a file over HTTP into a partial file, and resumes after interruptions."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError

from framelane.core.redact import redact
from framelane.models.catalog.errors import FetchError
from framelane.models.catalog.http import get

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message
    from http.client import HTTPResponse

    from framelane.models.catalog.partial_file import PartialFile

    Tell = Callable[[int, int], None]

_CHUNK = 1 << 16
_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_PARTIAL, _RANGE_REFUSED = 206, 416
# A server or a proxy that is busy or restarts; worth another try.
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_REFUSALS = {
    401: "the server wants a login; write user:password@ into the catalog's `url`, with ${NAME} for the password",
    403: "the server refuses access; check the login and the address",
    404: "there is no such file; name a mirror of it with --catalog",
    407: "the proxy wants a login; write user:password@ into the variable https_proxy",
    410: "the file is no longer there; name a mirror of it with --catalog",
}


class _InterruptedError(Exception):
    """The connection broke, or the server can't answer now; the text says which."""


@dataclass(frozen=True, slots=True)
class Download:
    """One file to download.

    Attributes:
        url: its address.
        size: its bytes.
        tell: gets the bytes so far and the bytes in all.
        sleep: waits between tries.
    """

    url: str
    size: int
    tell: Tell
    sleep: Callable[[float], None]

    def into(self, part: PartialFile) -> None:
        """Fill the partial file up to its size.

        After an interruption it waits and tries again, up to four times in a row without a new byte.

        Raises:
            FetchError: the server does not have the file, can't be reached, or broke off too often.
        """
        waits = iter(_WAITS_S)
        while part.length != self.size:
            before = part.length
            try:
                self._go_on(part)
            except _InterruptedError as error:
                if part.length > before:
                    waits = iter(_WAITS_S)
                wait_s = next(waits, None)
                if wait_s is None:
                    raise FetchError(self._sentence(error, part.length)) from error
                self.sleep(wait_s)
        self.tell(part.length, self.size)

    def _go_on(self, part: PartialFile) -> None:
        """Receive what is missing, in one request."""
        first = part.length
        resumes = 0 < first < self.size and bool(part.origin.validator)
        wanted = {"Range": f"bytes={first}-", "If-Range": part.origin.validator} if resumes else {}
        with self._answer(wanted, part) as response:
            if response.status == _PARTIAL:
                self._check_range(response, first)
            else:
                self._check_size(response.headers.get("Content-Length"), response.headers)
                part.restart(_validator(response.headers))
            self._receive(response, part)
        if part.length < self.size:
            raise _InterruptedError("the connection ended early")

    def _answer(self, headers: dict[str, str], part: PartialFile) -> HTTPResponse:
        try:
            return get(self.url, headers)
        except HTTPError as error:
            with error:
                raise self._refused(error, part) from error
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from error

    def _refused(self, error: HTTPError, part: PartialFile) -> Exception:
        if error.code == _RANGE_REFUSED:
            part.restart()
            return _InterruptedError("the file on the server has changed")
        if error.code in _PASSING:
            return _InterruptedError(f"the server answers {error.code} {error.reason}")
        why = _REFUSALS.get(error.code, f"the server answers {error.reason}")
        return FetchError(f"can't download {redact(self.url)}: {why} ({error.code})")

    def _unreachable(self, error: OSError | HTTPException) -> FetchError:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = (
                f"the certificate is not trusted ({cause.verify_message}); if a proxy of yours signs it, "
                "set SSL_CERT_FILE to the file of its authority"
            )
        elif isinstance(cause, socket.gaierror):
            why = f"the host name is not found ({cause.strerror}); is there a network, or a proxy to set?"
        else:
            text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            why = f"{text}; is there a network, or a proxy to set in https_proxy?"
        return FetchError(f"can't download {redact(self.url)}: {why}")

    def _check_range(self, response: HTTPResponse, first: int) -> None:
        """Refuse a part of the file that doesn't begin where the partial file ends."""
        sent = response.headers.get("Content-Range", "")
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", sent.strip())
        if found is None or int(found[1]) != first:
            raise FetchError(f"can't download {redact(self.url)}: the server sent another part ({sent})")
        self._check_size(found[2].replace("*", "") or None, response.headers)

    def _check_size(self, text: str | None, headers: Message) -> None:
        """Refuse a file of another size: a page that asks to log in, or another release."""
        if text is not None and text.isdigit() and int(text) != self.size:
            kind = headers.get_content_type()
            raise FetchError(
                f"can't download {redact(self.url)}: the server has {int(text)} bytes of {kind} there, not the "
                f"{self.size} of the catalog; check the address, and what a proxy makes of it"
            )

    def _receive(self, response: HTTPResponse, part: PartialFile) -> None:
        while part.length < self.size:
            try:
                chunk = response.read1(min(_CHUNK, self.size - part.length))
            except (OSError, HTTPException) as error:
                raise _InterruptedError(str(error) or type(error).__name__) from error
            if not chunk:
                return
            part.write(chunk)
            self.tell(part.length, self.size)

    def _sentence(self, error: Exception, length: int) -> str:
        kept = (
            f"{length} of {self.size} bytes are kept; run the command again to go on"
            if length
            else "try again"
        )
        return f"can't download {redact(self.url)}: {error}; {kept}"


def _validator(headers: Message) -> str:
    """Return what identifies this version of the file for If-Range: a strong ETag, else its date (RFC 9110, 13.1.5)."""
    tag = str(headers.get("ETag", "")).strip()
    return tag if tag.startswith('"') else str(headers.get("Last-Modified", "")).strip()
