"""Disk space is taken before it is needed, and never given back by accident."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.small_disk import fill_up

from framelane.storage.paths import wal_of
from framelane.storage.reserve import DiskReserve, is_full

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "a.spool"
    made.write_bytes(b"rows")
    return made


def test_file_grows_to_what_is_asked_for_and_keeps_its_content(path: Path) -> None:
    with closing(DiskReserve(path)) as reserve:
        reserve.take(64 * KIB)
        reserve.take(KIB)
    assert path.stat().st_size == 64 * KIB
    assert path.stat().st_blocks * 512 >= 64 * KIB, "a hole is no reserve"
    assert path.read_bytes().rstrip(b"\0") == b"rows"


def test_log_is_given_room_if_there_is_one(path: Path) -> None:
    with closing(DiskReserve(path)) as reserve:
        reserve.reserve_log(64 * KIB)
        assert not wal_of(path).exists()
        wal_of(path).write_bytes(b"pages")
        reserve.reserve_log(64 * KIB)
    assert wal_of(path).stat().st_size == 64 * KIB


def test_disk_without_room_is_an_error_for_the_file_and_none_for_the_log(disk: Path) -> None:
    path = disk / "a.spool"
    path.touch()
    wal_of(path).touch()
    with closing(DiskReserve(path)) as reserve:
        fill_up(disk / "ballast")
        with pytest.raises(OSError, match="No space left") as found:
            reserve.take(1024 * KIB)
        reserve.reserve_log(1024 * KIB)
    assert is_full(found.value)


def test_file_system_that_reserves_nothing_is_no_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    with closing(DiskReserve(path)) as reserve:
        reserve.take(64 * KIB)
    assert path.stat().st_size == 4


def test_closed_reserve_takes_nothing_and_closes_again(path: Path) -> None:
    reserve = DiskReserve(path)
    reserve.close()
    reserve.close()
    reserve.take(64 * KIB)
    assert path.stat().st_size == 4


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (sqlite3.OperationalError("database or disk is full"), True),
        (sqlite3.OperationalError("database is locked"), False),
    ],
)
def test_full_disk_is_told_from_other_faults(error: Exception, *, expected: bool) -> None:
    assert is_full(error) == expected
