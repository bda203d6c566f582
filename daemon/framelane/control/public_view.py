"""Shows a stream's effective options without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from framelane.core.redact import MASK, redact

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.stream import StreamConfig
    from framelane.config.yaml.written import Entry

# Up to the last `@` before a query: a password may contain slashes that were not encoded.
_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^?#]*@")


def shown(stream: StreamConfig, entry: Entry, main: Path) -> dict[str, Any]:
    """Return a stream's options as JSON values.

    `source` is the file that contains the stream, or `http`; `persisted` is whether that file matches the
    options. User and password are removed from the URLs, and the values of FFmpeg options, such as headers,
    are masked.
    """
    options = stream.model_dump(mode="json")
    for key, url in (("url", stream.url), ("preview_url", stream.preview_url)):
        options[key] = None if url is None else shown_url(url.get_secret_value())
    options["ffmpeg"] = dict.fromkeys(stream.ffmpeg, MASK)
    in_file = entry.place.document is not None
    options["source"] = (entry.place.file or str(main)) if in_file else "http"
    options["persisted"] = in_file and not entry.changed
    return options


def shown_url(url: str) -> str:
    """Return the URL without credentials."""
    return redact(_USERINFO.sub(rf"\g<1>{MASK}@", url))
