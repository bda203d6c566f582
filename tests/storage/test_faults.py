from __future__ import annotations

import errno
import os
import sqlite3

import pytest

from framelane.storage.faults import explained

LOCKED = (
    "database is locked: another process uses it; do two daemons have one node.id? "
    "Give each its own, or its own j.folder"
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            sqlite3.OperationalError("database or disk is full"),
            "database or disk is full: make room, or lower j.max_bytes",
        ),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            "No space left on device: make room, or lower j.max_bytes",
        ),
        (
            sqlite3.OperationalError("attempt to write a readonly database"),
            "attempt to write a readonly database: let this user write there, or set j.folder",
        ),
        (
            OSError(errno.EROFS, os.strerror(errno.EROFS)),
            "Read-only file system: set j.folder to where this user may write",
        ),
        (sqlite3.OperationalError("database is locked"), LOCKED),
        (sqlite3.OperationalError("disk I/O error"), "disk I/O error"),
    ],
)
def test_fault_is_told_with_its_remedy(error: Exception, expected: str) -> None:
    assert explained(error, "j") == expected
