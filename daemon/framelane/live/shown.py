"""A stream as anybody may see it: its options in effect, and no secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from framelane.core.redact import MASK, redact

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.schema import StreamConfig
    from framelane.config.written import Entry

# Up to the last `@` before a query: a password may hold slashes that somebody forgot to encode.
_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^?#]*@")


def shown(stream: StreamConfig, entry: Entry, main: Path) -> dict[str, Any]:
    """Options as JSON values; `source` is the file that holds the stream, `persisted` whether it says so now.

    The user goes from the URL along with the password, and of FFmpeg's options, such as headers, the names alone stay.
    """
    options = stream.model_dump(mode="json")
    options["url"] = shown_url(stream.url.get_secret_value())
    options["ffmpeg"] = dict.fromkeys(stream.ffmpeg, MASK)
    in_file = entry.place.document is not None
    options["source"] = (entry.place.file or str(main)) if in_file else "http"
    options["persisted"] = in_file and not entry.changed
    return options


def shown_url(url: str) -> str:
    """The URL without credentials."""
    return redact(_USERINFO.sub(rf"\g<1>{MASK}@", url))
