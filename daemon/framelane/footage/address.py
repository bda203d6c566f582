"""Addresses of snapshots and clips, for messages."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from framelane.config.address import AddressError, parse_listen
from framelane.footage.store import Place

if TYPE_CHECKING:
    from framelane.config.sections.s3 import S3Config
    from framelane.config.sections.schema import Config
    from framelane.core.events import Event


class Addresses(NamedTuple):
    """Where consumers of messages find the files of events.

    Attributes:
        listener: address of the HTTP listener; None if it is not known.
        bucket: address of the bucket with the first part of its objects' names; None if nobody reads there.
    """

    listener: str | None
    bucket: str | None = None

    @staticmethod
    def of(config: Config) -> Addresses:
        """Return the addresses of a configuration."""
        s3 = config.media.s3
        public = None if s3 is None or s3.public_url is None else s3.public_url.rstrip("/")
        return Addresses(
            base_url(config), None if s3 is None or public is None else f"{public}/{prefix_of(s3)}"
        )

    def snapshot(self, event: Event, name: str) -> str | None:
        """Return the address of a snapshot, given by its event and the event's id; None if none is known."""
        return self._address(event, name, "jpg", "snapshot.jpg")

    def clip(self, event: Event, name: str) -> str | None:
        """Return the address of a clip, likewise."""
        return self._address(event, name, "mp4", "clip.mp4")

    def _address(self, event: Event, name: str, suffix: str, route: str) -> str | None:
        if self.bucket is not None:
            return self.bucket + Place(event.at, event.stream, name, suffix).key
        return None if self.listener is None else f"{self.listener}/api/events/{name}/{route}"


def prefix_of(s3: S3Config) -> str:
    """Return what the names of objects in a bucket begin with, before the path within the folder."""
    return f"{s3.prefix}/" if s3.prefix else ""


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
