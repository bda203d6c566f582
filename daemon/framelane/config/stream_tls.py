"""What is demanded of the certificate of a camera or server."""

from __future__ import annotations

from pydantic import Field

from framelane.config.section import Section, Text


class StreamTlsConfig(Section):
    """TLS towards a camera or server, used with rtsps:// and https:// URLs."""

    verify: bool = Field(
        default=False,
        description="Check the certificate and its host name. Off, anybody on the way can pass for the camera.",
    )
    ca_file: Text | None = Field(
        default=None,
        description="PEM file of the authorities to trust, with `verify`; the system's by default.",
    )
