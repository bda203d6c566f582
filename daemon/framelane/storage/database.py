"""One SQLite file that is on the medium after each commit, has limits, and says when it is damaged.

SQLite runs in WAL mode with `synchronous=FULL`, so every commit is on the medium when it returns (`NORMAL`
would sync only at checkpoints, some thousand messages later). `locking_mode=EXCLUSIVE` keeps other processes
out while the file is open; the kernel releases the lock when this process is killed.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from framelane.core.folders import sync_folder
from framelane.storage.paths import wal_of
from framelane.storage.reserve import DiskReserve, is_full

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import TypeVar

    _T = TypeVar("_T")

_PAGE_BYTES = 4096
# One part in this many of the allowed bytes is for the write-ahead log.
_WAL_SHARE = 8
_MOST_WAL_PAGES = 1000
# Pages of the log, kept for deletions on a full disk.
_RESERVE_PAGES = 16
# Largest row that fits on one page (SQLite's file format, section 1.6).
_LEAF_BYTES = 4061
# Inner pages of the tables, and the like.
_SPARE_PAGES = 8
# An empty file larger than this is worth shrinking.
_EMPTY_PAGES = 16
# SQLite reports other tables, and damage, with these texts, as if they were temporary faults.
_NOT_OURS = (
    "no such table",
    "no such column",
    "table ",
    "unsupported file format",
    "Could not decode",
)


class DamagedError(Exception):
    """The file is not what it should be, or is damaged: set it aside."""


class OtherVersionError(DamagedError):
    """The file is of another version of Framelane; `version` says which."""

    def __init__(self, what: str, version: int) -> None:
        super().__init__(f"it is not a {what} of this version of Framelane (version {version})")
        self.version = version


class Layout(NamedTuple):
    """What a file holds.

    Attributes:
        what: its name in errors, such as "spool".
        version: of the tables, in `PRAGMA user_version`.
        tables: SQL statements that make them, separated by semicolons.
        upgrades: by version, likewise: statements that turn its tables into those of the next version.
    """

    what: str
    version: int
    tables: str
    upgrades: Mapping[int, str] = {}

    def steps_from(self, version: int) -> list[str]:
        """Return the upgrades of a file of this version.

        Raises:
            OtherVersionError: there are none.
        """
        missing = range(version, self.version)
        if version > self.version or not all(each in self.upgrades for each in missing):
            raise OtherVersionError(self.what, version)
        return [self.upgrades[each] for each in missing]


class Database:
    """An open file; used by one thread.

    Args:
        path: created with mode 0600 if it does not exist.
        max_bytes: most bytes of file and write-ahead log together; `full` says when rows must be deleted.
        layout: its tables.
        doubt: checks the content when the file is opened, and raises DamagedError.

    Raises:
        DamagedError: set the file aside. Any method may raise it.
        sqlite3.OperationalError: it can't be used now: locked, no space, no permission. Any method may raise
            it.
        OSError: it can't be created, or the disk is full. `take_room` may raise it too.
    """

    def __init__(self, path: Path, max_bytes: int, layout: Layout, doubt: Callable[[Database], None]) -> None:
        self.path = path
        wal_pages = max(min(max_bytes // _WAL_SHARE // _PAGE_BYTES, _MOST_WAL_PAGES), 1)
        # SQLite limits the log to its share only between transactions.
        self._most_pages = max(max_bytes // _PAGE_BYTES - 2 * wal_pages, _EMPTY_PAGES)
        self._reserve_bytes = min(wal_pages, _RESERVE_PAGES) * _PAGE_BYTES
        _make(path)
        with ExitStack() as unless_open:
            self._room = DiskReserve(path)
            unless_open.callback(self._room.close)
            self._connection = sqlite3.connect(path, timeout=0.0, isolation_level=None)
            unless_open.callback(self._connection.close)
            with _damage_told():
                self._set_up(wal_pages, layout)
            doubt(self)
            self._room.reserve_log(self._reserve_bytes)
            unless_open.pop_all()

    @property
    def full(self) -> bool:
        """Whether rows must be deleted for new ones."""
        used: int = self.value("PRAGMA page_count") - self.value("PRAGMA freelist_count")
        return used > self._most_pages

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk: the file and its write-ahead log."""
        total = 0
        for path in (self.path, wal_of(self.path)):
            with suppress(OSError):
                total += path.stat().st_size
        return total

    def value(self, query: str) -> Any:  # noqa: ANN401 - SQLite's values have the type of the moment
        """Return the first value of the first row; None without rows."""
        with _damage_told():
            row = self._connection.execute(query).fetchone()
        return None if row is None else row[0]

    def rows(self, query: str, *values: object) -> list[Any]:
        """Return all rows of a query."""
        with _damage_told():
            return self._connection.execute(query, values).fetchall()

    def change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> int:
        """Execute a statement for each row, in a transaction of the caller; return how many rows it changed."""
        with _damage_told():
            # -1 if there was nothing to execute.
            return max(self._connection.executemany(statement, rows).rowcount, 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is changed within, all or nothing."""
        with _damage_told():
            # The last commit failed.
            if self._connection.in_transaction:
                self._connection.rollback()
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield

    def free(self, delete: Callable[[], _T]) -> _T:
        """Run a small deletion in a transaction of its own, which works on a full disk too."""
        try:
            with self.transaction():
                return delete()
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            # The log is reused from its beginning.
            self.value("PRAGMA wal_checkpoint(RESTART)")
            with self.transaction():
                return delete()

    def take_room(self, row_bytes: Iterable[int]) -> None:
        """Reserve the disk space for rows of these sizes before they are written.

        Raises:
            OSError: The disk is full.
        """
        pages, free = self.value("PRAGMA page_count"), self.value("PRAGMA freelist_count")
        needed = int(sum(map(_pages, row_bytes))) + _SPARE_PAGES
        self._room.take((pages + max(needed - free, 0)) * _PAGE_BYTES)

    def shrink(self) -> None:
        """Return unused space of a nearly empty file to the disk; cheap, because little is copied."""
        if self.value("PRAGMA page_count") > _EMPTY_PAGES:
            with _damage_told():
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._room.reserve_log(self._reserve_bytes)

    def close(self) -> None:
        """Close the file, after moving the write-ahead log into it. A repeated call does nothing."""
        self._connection.close()
        self._room.close()

    def _set_up(self, wal_pages: int, layout: Layout) -> None:
        for pragma in (
            f"page_size={_PAGE_BYTES}",
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=FULL",
            # Debian's default overwrites deleted data with zeros.
            "secure_delete=OFF",
            "trusted_schema=OFF",
            "cell_size_check=ON",
            f"wal_autocheckpoint={wal_pages}",
            f"journal_size_limit={wal_pages * _PAGE_BYTES}",
        ):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        # This takes the lock and keeps it.
        with self.transaction():
            is_new = not self.value("SELECT count(*) FROM sqlite_master")
            version = self.value("PRAGMA user_version")
            for step in [layout.tables] if is_new else layout.steps_from(version):
                for statement in step.split(";"):
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version={layout.version}")


def _make(path: Path) -> None:
    """Create an empty file that only its owner may read. SQLite gives its write-ahead log the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    # Otherwise the name could be gone after a power cut, whatever SQLite has synced.
    sync_folder(path.parent)


@contextmanager
def _damage_told() -> Iterator[None]:
    """Convert SQLite's errors about a damaged file. Temporary faults are OperationalError, a subclass."""
    try:
        yield
    except sqlite3.ProgrammingError:
        # A fault in this code.
        raise
    except sqlite3.OperationalError as error:
        if str(error).startswith(_NOT_OURS):
            raise DamagedError(str(error)) from error
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # SQLite's text may quote the damaged data, which is not UTF-8 then.
        raise DamagedError(str(error)) from error


def _pages(row_bytes: int) -> float:
    """Return the pages, or the share of a page, that a row of this size takes."""
    if row_bytes <= _LEAF_BYTES:
        return 1 / (_LEAF_BYTES // row_bytes)
    return row_bytes // _LEAF_BYTES + 2
