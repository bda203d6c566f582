"""Addresses of snapshots and clips, for messages."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from framelane.config.address import AddressError, parse_listen

if TYPE_CHECKING:
    from framelane.config.sections.schema import Config


def base_url(config: Config) -> str | None:
    """Return the address of the HTTP listener as consumers reach it; None if it is not known.

    That is `media.url`, or `http.listen` unless it listens on all addresses.
    """
    if config.media.url is not None:
        return config.media.url.rstrip("/")
    if config.http.listen is None:
        return None
    try:
        host, port = parse_listen(config.http.listen)
    except AddressError:
        return None
    if _is_any(host) or not port:
        return None
    scheme = "http" if config.http.cert_file is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host
