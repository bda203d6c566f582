"""Errors of the RTSP client besides SourceError."""

from __future__ import annotations

from framelane.core.errors import SourceError


class UnsupportedError(Exception):
    """Only FFmpeg can read this stream; the text says what is unusual. Raised before SETUP."""


class MalformedError(ValueError):
    """The received bytes are not an RTSP message."""


class HungUpError(Exception):
    """The camera closed the connection after it asked for a login; the next connection can log in at once."""


class ConfusedError(SourceError):
    """The server's answers make no sense to this client; FFmpeg may still read the stream."""

    @classmethod
    def of(cls, fault: SourceError) -> ConfusedError:
        """Return the same fault as a ConfusedError."""
        return cls(fault.reason, str(fault))
