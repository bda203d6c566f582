"""The `tls` section of a stream."""

from __future__ import annotations

from pydantic import Field

from framelane.config.sections.section import Flag, Section, Text


class StreamTlsConfig(Section):
    """TLS to a camera or server, for rtsps:// and https:// URLs."""

    verify: Flag = Field(
        default=False,
        description="Check the certificate and its host name. If off, anyone on the path can pose as "
        "the camera.",
    )
    ca_file: Text | None = Field(
        default=None,
        description="PEM file of the authorities to trust, with `verify`; the system's by default.",
    )
