"""Checks Host headers, against DNS rebinding."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from framelane.config.address import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable


class Hosts:
    """The names by which requests may address the listener.

    A browser sends the host name of the page's URL as Host, and DNS may point any name at 127.0.0.1 (DNS
    rebinding). So a foreign page could read data that only this host may see.

    Args:
        listen: the host that the listener is bound to.
        more: more names, such as a gateway's or a service's.
    """

    def __init__(self, listen: str, more: Iterable[str] = ()) -> None:
        self._listen = listen.lower()
        self._names = {self._listen, *(name.lower().rstrip(".") for name in more)}
        self._any_address = _is_wildcard(listen)

    def knows(self, header: str) -> bool:
        """Return whether the value of a Host header, with or without a port, names this listener."""
        host = host_of(f"//{header}").rstrip(".")
        if host in self._names or is_loopback(host):
            return True
        # An address needs no DNS; Kubernetes probes address a pod by it.
        return self._any_address and _is_address(host)


def host_of(url: str) -> str:
    """Return the host of a URL in lower case; empty if it has none or is malformed."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_wildcard(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
