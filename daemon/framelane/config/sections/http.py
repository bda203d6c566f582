"""The `http` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from framelane.config.sections.detect import DetectConfig
from framelane.config.sections.section import Flag, Section, Text


class HttpConfig(Section):
    """The HTTP listener: health, metrics, status and changes."""

    listen: Text | None = Field(
        default=None, description="`host:port` to listen on, such as 127.0.0.1:8080; off by default."
    )
    hosts: list[Text] | None = Field(
        default=None,
        description="Host names that requests may use, besides the listener's own address and localhost, "
        "and whose pages may open the live page's WebSocket. null: no others, or any if there is a token.",
    )
    source_folders: list[Text] | None = Field(
        default=None,
        description="Folders whose files and devices a request may name as a stream's `url` or "
        "`tls.ca_file`. null: none, or any if there is a token.",
    )
    token: SecretStr | None = Field(
        default=None,
        description="Bearer token required for all but /healthz, /readyz and the page's own files; "
        "none by default.",
    )
    token_file: Text | None = Field(default=None, description="File that contains the bearer token.")
    page: Flag = Field(default=True, description="Serve the live page at /, and the WebSocket that it uses.")
    cert_file: Text | None = Field(
        default=None, description="PEM file of the listener's certificate; if set, only HTTPS is served."
    )
    key_file: Text | None = Field(default=None, description="PEM file of that certificate's key.")
    ready: Literal["any", "all"] = Field(
        default="any", description="/readyz requires one live stream (`any`) or all of them (`all`)."
    )
    detect: DetectConfig = Field(
        default_factory=DetectConfig,
        description="Object detection on uploaded images (POST /api/detect).",
    )

    @property
    def nameable_folders(self) -> list[str] | None:
        """Folders whose files a request may name; None for any file."""
        if self.source_folders is not None:
            return self.source_folders
        return [] if self.listen is not None and self.token is None else None
