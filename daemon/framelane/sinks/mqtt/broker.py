"""The broker's address and credentials."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from framelane.config.address import AddressError, parse_broker
from framelane.core.errors import ConfigError, Finding
from framelane.sinks.mqtt.errors import BrokerError

if TYPE_CHECKING:
    from framelane.config.sections.mqtt import MqttConfig
    from framelane.config.sections.mqtt_tls import TlsConfig


class Broker:
    """The address and credentials of one broker.

    Raises:
        ConfigError: The URL can't be used, or a TLS file can't be read.
    """

    def __init__(self, config: MqttConfig, node: str) -> None:
        try:
            address = parse_broker(config.url)
        except AddressError as error:
            raise ConfigError([Finding("mqtt.url", str(error))]) from error
        password = config.password.get_secret_value() if config.password else None
        self.host = address.host
        self.port = address.port
        self.tls = address.tls
        self.client_id = config.client_id or f"{config.prefix}-{node}"
        self.username = config.username or address.username
        self.password = password or address.password
        self._url = address.url
        self._tls_config = config.tls
        self.verify = config.tls.verify
        try:
            self.tls_context()
        except BrokerError as error:
            raise ConfigError([Finding("mqtt.tls", str(error))]) from error

    def __str__(self) -> str:
        """Return the broker's URL without credentials."""
        return self._url

    def tls_context(self) -> ssl.SSLContext | None:
        """Create a TLS context; None without TLS.

        Each connection needs a new one, because certificates are renewed.

        Raises:
            BrokerError: A file can't be read.
        """
        if not self.tls:
            return None
        try:
            return _tls_context(self._tls_config)
        except (OSError, ValueError) as error:
            # Includes ssl.SSLError.
            files = [self._tls_config.ca_file, self._tls_config.cert_file, self._tls_config.key_file]
            named = ", ".join(file for file in files if file)
            raise BrokerError("tls_files", f"can't load the TLS files ({named}): {_said(error)}") from error


def _tls_context(config: TlsConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_file)
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.cert_file:
        # Without a password, OpenSSL would ask for one on the terminal. An empty one fails instead.
        context.load_cert_chain(config.cert_file, config.key_file, password="")
    return context


def _said(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{error.reason or error}; they must be PEM and belong together, the key without a password"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
