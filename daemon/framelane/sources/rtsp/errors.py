"""What the RTSP client raises besides SourceError."""

from __future__ import annotations


class UnsupportedError(Exception):
    """FFmpeg has to read this one: says what is unusual. Raised before a session is set up."""


class MalformedError(ValueError):
    """What came is no RTSP message."""
