"""Reserves disk space for a database in advance, so that it still works after the disk is full."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from framelane.storage.paths import wal_of

if TYPE_CHECKING:
    from pathlib import Path

_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class DiskReserve:
    """Keeps SQLite from needing more disk space in the middle of its work.

    SQLite writes changes to its write-ahead log, and from there to the file. On a full disk, a log with new
    pages can't be emptied, because the file would have to grow. The log then grows until that fails, and not
    even rows can be deleted. So the file gets its space before rows are written to the log, and the log
    reserves some for itself.

    SQLite knows the number of its pages from the file's header, and ignores data after them.

    Args:
        path: the file. It is held open, because closing it would release SQLite's lock on it (fcntl(2)). So
            close this after SQLite's connection.
    """

    def __init__(self, path: Path) -> None:
        self._log = wal_of(path)
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def take(self, total_bytes: int) -> None:
        """Make the file at least this large.

        Raises:
            OSError: The disk is full.
        """
        if self._descriptor is not None:
            _allocate(self._descriptor, total_bytes)

    def reserve_log(self, total_bytes: int) -> None:
        """Make the write-ahead log at least this large, if it exists and the disk has room."""
        try:
            descriptor = os.open(self._log, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            _allocate(descriptor, total_bytes)
        except OSError as error:
            if not is_full(error):
                raise
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the file. A repeated call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_full(error: Exception) -> bool:
    """Return whether an error says that the disk, or this user's quota, is full."""
    if isinstance(error, OSError):
        return error.errno in _NO_SPACE
    return "disk is full" in str(error)


def _allocate(descriptor: int, total_bytes: int) -> None:
    has = os.fstat(descriptor).st_size
    if has >= total_bytes:
        return
    try:
        os.posix_fallocate(descriptor, has, total_bytes - has)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
