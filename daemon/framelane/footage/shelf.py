"""The files in a folder of snapshots and clips: their names, their order and their size on disk."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = re.compile(r"\d{4}-\d\d-\d\d")
NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(whole\.jpg|jpg|mp4)")
"""An event's id, and which of its files this is."""
UNFINISHED = re.compile(r"\.[0-9a-f-]{36}\.[a-z0-9.]+\.\d+\.tmp")
_BLOCK = 4096


class Kept(NamedTuple):
    """A file on disk.

    Attributes:
        path: where it is.
        size: bytes that it takes.
        at: Unix time of its last change.
    """

    path: Path
    size: int
    at: float


def day_of(at: float) -> str:
    """Return the name of the folder of a Unix time: its day, in UTC."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d")


def size_on_disk(size: int) -> int:
    """Return the bytes that a file of this size takes, in whole blocks."""
    return -(-size // _BLOCK) * _BLOCK


def days(folder: Path) -> list[Path]:
    """Return the folders of days, the oldest first."""
    with suppress(FileNotFoundError):
        return sorted(each for each in folder.iterdir() if DAY.fullmatch(each.name) and each.is_dir())
    return []


def streams(day: Path) -> list[Path]:
    """Return a day's folders of streams."""
    with suppress(FileNotFoundError):
        return [each for each in day.iterdir() if each.is_dir() and not each.is_symlink()]
    return []


def files(day: Path) -> Iterator[Kept]:
    """Yield all of Framelane's files of a day, unfinished ones too, in no order. Others are not touched."""
    for stream in streams(day):
        with suppress(FileNotFoundError), os.scandir(stream) as entries:
            for entry in entries:
                if not (NAME.fullmatch(entry.name) or UNFINISHED.fullmatch(entry.name)):
                    continue
                with suppress(FileNotFoundError):
                    seen = entry.stat(follow_symlinks=False)
                    yield Kept(stream / entry.name, size_on_disk(seen.st_size), seen.st_mtime)


def oldest_first(folder: Path) -> Iterator[Kept]:
    """Yield all finished files, the oldest first."""
    for day in days(folder):
        found = [each for each in files(day) if not UNFINISHED.fullmatch(each.path.name)]
        yield from sorted(found, key=lambda each: each.at)


def prune(day: Path) -> None:
    """Remove a day's folders that are empty."""
    for each in (*streams(day), day):
        with suppress(OSError):
            each.rmdir()
