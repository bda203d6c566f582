"""The listener's certificate, read at the start and again when its files change."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import structlog

from framelane.core.errors import FramelaneError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger(__name__)

Mark = tuple[int, int, int]


class Certificate:
    """A server's certificate and key, and the TLS context that uses them.

    Certificates are renewed while the daemon runs. Each handshake checks whether the files have changed,
    which costs two calls of stat. If a new certificate can't be used, a log line says so and the previous one
    stays in use.

    Args:
        cert_file: PEM file of the certificate, followed by its intermediate certificates.
        key_file: PEM file of its key, without a password.

    Raises:
        FramelaneError: The files can't be used.
    """

    def __init__(self, cert_file: str, key_file: str) -> None:
        self._files = cert_file, key_file
        self._marks = self._current_marks()
        try:
            self._newest = self._load()
        except (OSError, ValueError) as error:
            # ssl.SSLError is an OSError.
            raise FramelaneError(self._describe(error)) from error
        self.context = self._newest
        """The context for the listening socket."""
        self.context.sni_callback = self._on_handshake

    def _on_handshake(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Use the newest certificate; called in each handshake, even if the client names no server."""
        marks = self._current_marks()
        if marks != self._marks:
            self._marks = marks
            try:
                self._newest = self._load()
                log.info("http_certificate_renewed", file=self._files[0])
            except (OSError, ValueError) as error:
                effect = "the previous certificate stays in use"
                log.warning("http_certificate_refused", error=self._describe(error), effect=effect)
        connection.context = self._newest

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Without a password OpenSSL would ask for that of an encrypted key on the terminal; an empty one fails.
        context.load_cert_chain(*self._files, password="")
        return context

    def _current_marks(self) -> Sequence[Mark | None]:
        return [_mark(file) for file in self._files]

    def _describe(self, error: Exception) -> str:
        words = error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
        named = ", ".join(self._files)
        return (
            f"can't use http.cert_file and http.key_file ({named}): {words or error}; "
            "they must be PEM and belong together, the key without a password"
        )


def _mark(file: str) -> Mark | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - called in every handshake
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
