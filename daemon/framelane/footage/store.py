"""Keeps files of events in one folder, within limits of bytes, age and free space."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from framelane.config.sizes import parse_bytes
from framelane.footage import ledger, shelf
from framelane.footage.shelf import UNFINISHED, day_of, size_on_disk
from framelane.footage.unsent import Unsent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from framelane.config.sections.media import MediaConfig
    from framelane.footage.ledger import Ledger
    from framelane.footage.shelf import Kept
    from framelane.footage.unsent import Waiting

_SLACK = 0.01
"""Share of the limit that is freed at once, so that not every write has to look for the oldest files."""
_ABANDONED_S = 600.0
"""Age from which an unfinished file belongs to a process that has died."""
_ABSENT_S = 60.0
"""Age from which the mark of an upload without its file belongs to one that was deleted, or never finished."""


class NoRoomError(OSError):
    """The limits leave no room for a file, even if all others were deleted."""


class Place(NamedTuple):
    """Where a file belongs.

    Attributes:
        at: Unix time of the event.
        stream: id of the stream.
        event: id of the event.
        suffix: "jpg", "whole.jpg" or "mp4".
    """

    at: float
    stream: str
    event: str
    suffix: str

    @property
    def key(self) -> str:
        """The file's path within the folder."""
        return f"{day_of(self.at)}/{self.stream}/{self.event}.{self.suffix}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept.

    Attributes:
        most_bytes: bytes on disk.
        most_age_s: seconds.
        least_free: bytes to leave free on the disk.
    """

    most_bytes: int
    most_age_s: float
    least_free: int

    @staticmethod
    def of(config: MediaConfig) -> Limits:
        """Return the limits of a configuration."""
        return Limits(parse_bytes(config.max_bytes), config.max_age_s, parse_bytes(config.min_free_bytes))


class MediaStore:
    """A folder `<day>/<stream>/<event>.<suffix>`, which several processes may write to. Thread-safe.

    Room is reserved under a lock that all processes share, before anything is written. So the files together
    never exceed the limits, whoever writes.

    Args:
        folder: the folder; made when it is first needed.
        limits: how much is kept.
        wall: returns Unix time.
        uploads: whether each file is to be uploaded.
    """

    def __init__(
        self, folder: Path, limits: Limits, wall: Callable[[], float] = time.time, *, uploads: bool = False
    ) -> None:
        self.folder = folder
        self.unsent = Unsent(folder)
        self._limits = limits
        self._wall = wall
        self._uploads = uploads

    def write(self, place: Place, parts: Sequence[bytes]) -> Path:
        """Write a file, whole or not at all; it replaces one of the same place.

        Raises:
            NoRoomError: the limits leave no room.
            OSError: the disk is full, or the folder can't be written to.
        """
        target = self.folder / place.key
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        size = sum(map(len, parts))
        self._make(target.parent)
        descriptor = self._reserve(unfinished, size)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            # First, because whoever finds the file must find the mark too.
            if self._uploads:
                self.unsent.mark(place.key)
            unfinished.replace(target)
        except OSError:
            self._release(unfinished, size)
            if self._uploads:
                self.unsent.unmark(place.key)
            raise
        # The folder itself is not synchronized: a power cut may cost the newest files, but leaves none in part.
        return target

    def sweep(self) -> None:
        """Delete what is too old, and abandoned files; count the bytes again; keep the limits.

        Raises:
            OSError: the folder can't be read or written to.
        """
        if not self.folder.is_dir():
            return
        now = self._wall()
        with ledger.locked(self.folder) as book:
            for day in shelf.days(self.folder):
                for each in shelf.files(day):
                    if UNFINISHED.fullmatch(each.path.name) and now - each.at > _ABANDONED_S:
                        each.path.unlink(missing_ok=True)
            old = takewhile(
                lambda kept: now - kept.at > self._limits.most_age_s, shelf.oldest_first(self.folder)
            )
            for each in old:
                self._delete(book, each, "age")
            self._forget_absent(book, now)
            found = shelf.days(self.folder)
            book.used = sum(each.size for day in found for each in shelf.files(day))
            self._make_room(book, 0)
            today = day_of(now)
            for day in found:
                if day.name < today:
                    shelf.prune(day)

    def uploaded(self, waiting: Waiting, *, delete: bool) -> None:
        """Note that a file is uploaded, and delete it if wanted.

        Raises:
            OSError: the folder can't be written to; the file counts as not uploaded.
        """
        path = self.folder / waiting.key
        with ledger.locked(self.folder) as book:
            if not self.unsent.unmark(waiting.key):
                # Deleted, and counted as not uploaded, while it was being uploaded.
                book.unsent = max(book.unsent - 1, 0)
            elif delete and path.is_file():
                seen = path.stat()
                self._delete(book, shelf.Kept(path, size_on_disk(seen.st_size), seen.st_mtime), "uploaded")

    def refused(self, waiting: Waiting) -> None:
        """Note that a file can't be uploaded; it stays."""
        self.unsent.unmark(waiting.key)

    def absent(self, waiting: Waiting) -> None:
        """Note that a file that is to be uploaded is not there; a new one may still come.

        Raises:
            OSError: the folder can't be written to.
        """
        with ledger.locked(self.folder) as book:
            self._forget_if_absent(book, waiting, self._wall())

    def figures(self) -> Ledger:
        """Return the bytes on disk, and the files deleted so far by reason."""
        return ledger.read(self.folder)

    def free(self) -> int | None:
        """Return the bytes that are free on the disk; None if the folder does not exist."""
        with suppress(OSError):
            return _free(self.folder)
        return None

    def _make(self, folder: Path) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _reserve(self, unfinished: Path, size: int) -> int:
        """Make room, and make the file with its final size; return its descriptor."""
        with ledger.locked(self.folder) as book:
            needed = size_on_disk(size)
            if not self._make_room(book, needed):
                raise NoRoomError(f"{self.folder}: the limits of `media` leave no room for {needed} bytes")
            # Another process may have removed the folder as empty.
            self._make(unfinished.parent)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                if size:
                    os.posix_fallocate(descriptor, 0, size)
            except OSError:
                os.close(descriptor)
                unfinished.unlink(missing_ok=True)
                raise
            book.used += needed
            return descriptor

    def _release(self, unfinished: Path, size: int) -> None:
        with suppress(OSError), ledger.locked(self.folder) as book:
            unfinished.unlink(missing_ok=True)
            book.used = max(book.used - size_on_disk(size), 0)

    def _make_room(self, book: Ledger, needed: int) -> bool:
        """Delete the oldest files until there is room, but none if all are not enough; return whether there is."""
        limits = self._limits
        over = book.used + needed - limits.most_bytes
        short = limits.least_free + needed - _free(self.folder)
        if over <= 0 and short <= 0:
            return True
        # What others have filled is not worth the whole archive.
        if max(over, short) > book.used:
            return False
        slack = int(limits.most_bytes * _SLACK)
        reason, wanted = ("size", over + slack) if over >= short else ("free", short + slack)
        freed = 0
        for each in shelf.oldest_first(self.folder):
            if freed >= wanted:
                break
            self._delete(book, each, reason)
            freed += each.size
        return freed >= max(over, short)

    def _delete(self, book: Ledger, kept: Kept, reason: str) -> None:
        kept.path.unlink(missing_ok=True)
        book.count(reason, kept.size)
        book.unsent += self.unsent.unmark(kept.path.relative_to(self.folder).as_posix())

    def _forget_absent(self, book: Ledger, now: float) -> None:
        """Forget the uploads of files that an operator has deleted, or that a killed process has not finished."""
        for waiting in self.unsent.all():
            self._forget_if_absent(book, waiting, now)

    def _forget_if_absent(self, book: Ledger, waiting: Waiting, now: float) -> None:
        if now - waiting.at > _ABSENT_S and not (self.folder / waiting.key).exists():
            book.unsent += self.unsent.unmark(waiting.key)


def _free(folder: Path) -> int:
    seen = os.statvfs(folder)
    return seen.f_bavail * seen.f_frsize
