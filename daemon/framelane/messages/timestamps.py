"""Times in messages: RFC 3339, in UTC, with microseconds."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache


def timestamp(unix_s: float) -> str:
    """Return a time in RFC 3339, in UTC, always with microseconds and Z."""
    seconds, microseconds = divmod(round(unix_s * 1e6), 1_000_000)
    return f"{_second(seconds)}.{microseconds:06d}Z"


@lru_cache(maxsize=64)
def _second(unix_s: int) -> str:
    """Return date and time to the second, which hundreds of results share."""
    return datetime.fromtimestamp(unix_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
