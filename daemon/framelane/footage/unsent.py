"""The files that are still to be uploaded: one empty mark per file, so that no kill loses one."""

from __future__ import annotations

import heapq
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from framelane.footage.shelf import DAY, NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = ".unsent"
# Neither days nor ids of streams and events contain it.
_SLASH = "+"
_MARK = re.compile(rf"{DAY.pattern}\+[A-Za-z0-9._-]+\+{NAME.pattern}")


class Waiting(NamedTuple):
    """A file that is to be uploaded.

    Attributes:
        at: Unix time at which it was marked.
        key: its path within the folder, with slashes.
    """

    at: float
    key: str


class Unsent:
    """The marks of one folder. Any process may set one and take it away.

    Args:
        folder: the folder of snapshots and clips.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def mark(self, key: str) -> None:
        """Note that a file is to be uploaded.

        Raises:
            OSError: the disk is full, or the folder can't be written to.
        """
        with suppress(FileNotFoundError):
            self._touch(key)
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._touch(key)

    def unmark(self, key: str) -> bool:
        """Note that a file needs no upload any more; return whether it did."""
        with suppress(FileNotFoundError):
            self._path(key).unlink()
            return True
        return False

    def all(self) -> Iterator[Waiting]:
        """Yield every file that is to be uploaded, in no order."""
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if _MARK.fullmatch(entry.name):
                    with suppress(FileNotFoundError):
                        at = entry.stat(follow_symlinks=False).st_mtime
                        yield Waiting(at, entry.name.replace(_SLASH, "/"))

    def oldest(self, most: int) -> tuple[list[Waiting], int]:
        """Return at most this many of the files that were marked first, in order, and how many there are."""
        count = 0

        def counted() -> Iterator[Waiting]:
            nonlocal count
            for each in self.all():
                count += 1
                yield each

        return heapq.nsmallest(most, counted()), count

    def _path(self, key: str) -> Path:
        return self._folder / key.replace("/", _SLASH)

    def _touch(self, key: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        os.close(os.open(self._path(key), flags, 0o600))
