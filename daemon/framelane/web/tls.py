"""The listener's certificate: read at the start, and again when its files have changed."""

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
    """A server's certificate and key, and the context that shows them.

    Certificates are renewed while we run. Each handshake looks whether the files are still those that were read, which
    costs two calls of stat; what can't be used is told in the log, and the one before is shown further on.

    Args:
        cert_file: PEM file of the certificate, and of those between it and its authority.
        key_file: PEM file of its key, without a password.

    Raises:
        FramelaneError: they can't be used.
    """

    def __init__(self, cert_file: str, key_file: str) -> None:
        self._files = cert_file, key_file
        self._marks = self._looked()
        try:
            self._newest = self._load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise FramelaneError(self._explained(error)) from error
        self.context = self._newest
        """For the listening socket."""
        self.context.sni_callback = self._greet

    def _greet(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake, whether the client names a server or not."""
        marks = self._looked()
        if marks != self._marks:
            self._marks = marks
            try:
                self._newest = self._load()
                log.info("http_certificate_renewed", file=self._files[0])
            except (OSError, ValueError) as error:
                log.warning(
                    "http_certificate_refused", error=self._explained(error), effect="the last one stays"
                )
        connection.context = self._newest

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Without a password an encrypted key would ask for one on the terminal; an empty one fails instead.
        context.load_cert_chain(*self._files, password="")
        return context

    def _looked(self) -> Sequence[Mark | None]:
        return [_mark(file) for file in self._files]

    def _explained(self, error: Exception) -> str:
        words = error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
        named = ", ".join(self._files)
        return (
            f"can't use http.cert_file and http.key_file ({named}): {words or error}; they must be PEM and belong "
            "together, the key without a password"
        )


def _mark(file: str) -> Mark | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - in every handshake
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
