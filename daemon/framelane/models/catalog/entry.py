"""One model of a catalog: where its file is, its hash, and how to configure it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from framelane.config.sections.section import Section, Text
from framelane.core.redact import redact

_FILE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.onnx$"
_SHA256_PATTERN = r"^[0-9a-f]{64}$"


def _http_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError("no address of a web server")
    return url


class CatalogEntry(Section):
    """One model that can be fetched."""

    file: Annotated[str, Field(pattern=_FILE_PATTERN)] = Field(
        description="the name that the file gets: letters, digits, `.`, `_` and `-`, ending in .onnx"
    )
    url: Annotated[Text, AfterValidator(_http_address)] = Field(
        description="the https:// or http:// address of the file"
    )
    size: Annotated[int, Field(gt=0)] = Field(description="the bytes of the file, above 0")
    sha256: Annotated[str, Field(pattern=_SHA256_PATTERN)] = Field(
        description="the file's SHA-256, 64 hex digits in lower case"
    )
    license: Text = Field(description="the file's license, as an SPDX id if there is one")
    source: Text = Field(default="unknown", description="a page about the model")
    about: Text = Field(default="-", description="a few words for the list")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="a map of keys of the model's section, without `path`"
    )

    def shown(self) -> dict[str, Any]:
        """Return the entry for programs and people, without a password."""
        return {**self.model_dump(), "url": redact(self.url)}
