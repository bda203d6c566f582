"""The `mqtt.tls` section."""

from __future__ import annotations

from pydantic import Field

from framelane.config.sections.section import Flag, Section, Text


class TlsConfig(Section):
    """TLS to the broker, for mqtts:// URLs."""

    ca_file: Text | None = Field(
        default=None, description="PEM file of the authorities to trust; the system's by default."
    )
    cert_file: Text | None = Field(default=None, description="PEM file of the client certificate.")
    key_file: Text | None = Field(default=None, description="PEM file of the client certificate's key.")
    verify: Flag = Field(default=True, description="Check the broker's certificate and host name.")
