"""Limits the sources that an HTTP request may name to URLs and to files in configured folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.config.address import AddressError, source_kind
from framelane.config.keypath import KeyPath, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_REMEDY = "add its folder to http.source_folders, or configure the stream in a file"
# Options that make FFmpeg open files of this host, or allow it to when a playlist names them.
_FILE_OPTIONS = frozenset(
    {
        "allowed_extensions", "allowed_segment_extensions", "ca_file", "cafile", "cert", "cert_file", "key",
        "key_file", "pkcs12", "protocol_blacklist", "protocol_whitelist",
    }
)  # fmt: skip


def forbidden_files(
    options: Mapping[str, Any], path: KeyPath, folders: Sequence[str], base_dir: Path
) -> Iterator[Problem]:
    """Yield a problem for every option that would make the daemon read a file the caller may not name.

    Args:
        options: the stream's options, as JSON.
        path: the stream's key path.
        folders: absolute paths of the folders whose files may be named.
        base_dir: the folder that relative paths start at.
    """
    url = options.get("url")
    if isinstance(url, str) and _is_file(url) and not _lies_in(base_dir / url, folders):
        yield Problem((*path, "url"), f"a file or device can't be set over HTTP: {_REMEDY}")
    tls = options.get("tls")
    ca_file = tls.get("ca_file") if isinstance(tls, dict) else None
    if isinstance(ca_file, str) and not _lies_in(base_dir / ca_file, folders):
        yield Problem((*path, "tls", "ca_file"), f"a file can't be set over HTTP: {_REMEDY}")
    ffmpeg = options.get("ffmpeg")
    for name in ffmpeg if isinstance(ffmpeg, dict) else ():
        if name.lower() in _FILE_OPTIONS:
            text = "can't be set over HTTP because it opens files: configure the stream in a file"
            yield Problem((*path, "ffmpeg", name), text)


def _is_file(url: str) -> bool:
    try:
        return source_kind(url) in ("path", "device")
    except AddressError:
        # The check reports it.
        return False


def _lies_in(path: Path, folders: Sequence[str]) -> bool:
    """Return whether a path is below one of the folders once links are resolved."""
    try:
        real = path.resolve()
        return any(real.is_relative_to(Path(folder).resolve()) for folder in folders)
    except (OSError, RuntimeError, ValueError):
        # A loop of links, or a null byte.
        return False
