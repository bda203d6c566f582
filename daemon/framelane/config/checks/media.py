"""Finds faults of `media`: addresses, the bucket, and streams whose files nothing keeps."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from framelane.config.address import is_loopback
from framelane.config.checks.files import file_faults
from framelane.config.keypath import KeyPath, Problem
from framelane.core.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.config.checks.checked import Checked
    from framelane.config.sections.media import MediaConfig
    from framelane.config.sections.s3 import S3Config
    from framelane.config.sections.stream import StreamConfig

S3_CLIENT = "botocore"
"""The package that uploads need."""
_S3: KeyPath = ("media", "s3")
_ADDRESS = re.compile(r"https?://[^\s?#]+")
_ENDPOINT = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:\d{1,5})?/?")


def media_faults(checked: Checked) -> Iterator[Problem]:
    """Check the section `media`."""
    media = checked.config.media
    yield from _address(("media", "url"), media.url)
    if media.s3 is not None:
        yield from _s3(checked, media.s3)


def footage_faults(checked: Checked, index: int, stream: StreamConfig) -> Iterator[Problem]:
    """Require events, and a folder, for snapshots and clips that a stream asks for itself."""
    whole, path = checked.config.streams[index], ("streams", index)
    for key in ("snapshots", "clips"):
        if key not in stream.model_fields_set or getattr(stream, key) is None:
            continue
        if checked.config.media.folder is None and checked.sound(("media",)):
            yield Problem((*path, key), "has no effect without `media.folder`; set that, or remove this")
        elif not whole.track or whole.event_options is None:
            yield Problem((*path, key), "needs `track: true`, and `events`, lines or zones")


def media_warnings(media: MediaConfig) -> Iterator[Problem]:
    """Warn about a bucket that others can read on the way, and addresses that lead nowhere."""
    s3 = media.s3
    if s3 is None:
        return
    message = "anyone on the path to the server can read snapshots and clips"
    if s3.endpoint is not None and s3.endpoint.startswith("http://"):
        if not is_loopback(urlsplit(s3.endpoint).hostname or ""):
            yield Problem((*_S3, "endpoint"), f"{message}; write https://")
    elif not s3.tls.verify:
        yield Problem((*_S3, "tls", "verify"), message)
    if s3.delete_after_upload and s3.public_url is None:
        message = "addresses in messages lead to deleted files; set `media.s3.public_url`"
        yield Problem((*_S3, "delete_after_upload"), message)


def _s3(checked: Checked, s3: S3Config) -> Iterator[Problem]:
    if checked.config.media.folder is None and checked.sound(("media", "folder")):
        yield Problem(_S3, "has no effect without `media.folder`; set that, or remove this")
    if find_spec(S3_CLIENT) is None:
        yield Problem(_S3, f"needs the package {S3_CLIENT}; run pip install 'framelane[s3]'")
    yield from _address((*_S3, "public_url"), s3.public_url)
    yield from _keys(checked, s3)
    yield from _server(s3)


def _keys(checked: Checked, s3: S3Config) -> Iterator[Problem]:
    has_secret = s3.secret_key is not None or s3.secret_key_file is not None
    if has_secret and s3.access_key is None and checked.sound((*_S3, "access_key")):
        yield Problem((*_S3, "access_key"), "is missing; a secret needs the id of its key")
    if s3.access_key is not None and not has_secret and checked.sound((*_S3, "secret_key")):
        yield Problem((*_S3, "secret_key_file"), "is missing; `access_key` needs its secret")


def _server(s3: S3Config) -> Iterator[Problem]:
    yield from file_faults((*_S3, "tls", "ca_file"), s3.tls.ca_file)
    if s3.tls.ca_file is not None and not s3.tls.verify:
        yield Problem((*_S3, "tls", "ca_file"), "has no effect without `verify: true`")
    if s3.endpoint is None:
        return
    if not _ENDPOINT.fullmatch(s3.endpoint):
        text = f"expected http:// or https://, a host, and perhaps a port; got `{redact(s3.endpoint)}`"
        yield Problem((*_S3, "endpoint"), text)
    elif s3.endpoint.startswith("http://") and s3.tls.ca_file is not None:
        message = "has no effect without TLS; write https:// in `media.s3.endpoint`"
        yield Problem((*_S3, "tls", "ca_file"), message)


def _address(path: KeyPath, url: str | None) -> Iterator[Problem]:
    if url is not None and not _ADDRESS.fullmatch(url):
        text = f"expected http:// or https://, a host, and perhaps a path; got `{redact(url)}`"
        yield Problem(path, text)
