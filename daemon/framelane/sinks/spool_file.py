"""The spool on disk: one SQLite file with a row for each message, in order.

SQLite in WAL mode with `synchronous=FULL`: every commit is on the medium when it returns (`NORMAL` would sync only
at checkpoints, some thousand messages later). Commits are few, so that this costs little. `locking_mode=EXCLUSIVE`
keeps other processes out for as long as the file is open; the kernel lifts the lock when we are killed.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from framelane.sinks.backlog import Entry
from framelane.sinks.message import Message, as_replayed
from framelane.sinks.spool_place import wal_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_VERSION = 1  # of the tables below; `PRAGMA user_version` holds it
_TABLES = """
    CREATE TABLE messages (
        row INTEGER PRIMARY KEY, at REAL NOT NULL, stream BLOB NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL
    );
    CREATE TABLE totals (messages INTEGER NOT NULL);
    INSERT INTO totals VALUES (0);
"""
_PAGE_BYTES = 4096
_WAL_SHARE = 8  # of the bytes allowed, one part in so many is the write-ahead log's
_MOST_WAL_PAGES = 1000
_MOST_ROW = 1 << 62
_EMPTY_PAGES = 16  # an empty spool that is larger is worth shrinking
_NOT_OURS = (  # what SQLite says of other tables, and of damage, as if it were a fault of the moment
    "no such table",
    "no such column",
    "table messages has",
    "unsupported file format",
    "Could not decode",
)


class SpoolDamagedError(Exception):
    """What is in the file is no spool, or not a whole one."""


class Found(NamedTuple):
    """What was read: messages in order, rows that hold none, and the last row looked at."""

    entries: list[Entry]
    spoilt: list[int]
    last_row: int


class SpoolFile:
    """An open spool; used by one thread.

    Args:
        path: made with mode 0600 where it is not there.
        max_bytes: most bytes of file and write-ahead log together; `full` says when the oldest must go.
        least_row: rows are numbered from here on at least, so that none is used twice in a process.

    Raises:
        SpoolDamagedError: set it aside. Any method may raise it.
        sqlite3.OperationalError: it can't be used now: locked, no space, no right to. Any method may raise it.
        OSError: it can't be made.
    """

    def __init__(self, path: Path, max_bytes: int, least_row: int = 1) -> None:
        self.path = path
        self.messages = 0
        """Messages on disk."""
        wal_pages = max(min(max_bytes // _WAL_SHARE // _PAGE_BYTES, _MOST_WAL_PAGES), 1)
        # The log is kept to its share only between transactions.
        self._most_pages = max(max_bytes // _PAGE_BYTES - 2 * wal_pages, _EMPTY_PAGES)
        _make(path)
        self._database = sqlite3.connect(path, timeout=0.0, isolation_level=None)
        with ExitStack() as unless_open:
            unless_open.callback(self._database.close)
            with _damage_told():
                self._set_up(wal_pages)
                last_row = self._value("SELECT max(row) FROM messages") or 0
                self._doubt(last_row)
            unless_open.pop_all()
        self.next_row = max(last_row + 1, least_row)

    @property
    def full(self) -> bool:
        """Whether the oldest must go for what comes."""
        with _damage_told():
            return self._used_pages() > self._most_pages

    @property
    def disk_bytes(self) -> int:
        """What is taken on disk: the file and its write-ahead log."""
        total = 0
        for path in (self.path, wal_of(self.path)):
            with suppress(OSError):
                total += path.stat().st_size
        return total

    @property
    def oldest_at(self) -> float | None:
        """Unix time at which the oldest message was published; None where there is none."""
        with _damage_told():
            at = self._value("SELECT at FROM messages ORDER BY row LIMIT 1")
        return at if isinstance(at, float) else None

    def write(self, entries: Sequence[Entry]) -> int:
        """Add these, and wait until the medium has them; returns the first one's row, which the others follow."""
        first = self.next_row
        rows = [(row, entry.at, *_row(entry.message)) for row, entry in enumerate(entries, first)]
        with _damage_told(), self._transaction():
            self._database.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", rows)
            self._count(len(rows))
        self.next_row = first + len(rows)
        self.messages += len(rows)
        return first

    def delete(self, rows: Sequence[int]) -> int:
        """Delete these; returns how many of them were there."""
        with _damage_told(), self._transaction():
            deleted = self._delete(rows)
        self.messages -= deleted
        return deleted

    def delete_oldest(self, most: int, before: float | None = None) -> list[int]:
        """Delete up to `most` of the oldest, only those published before a Unix time if one is given; their rows."""
        with _damage_told(), self._transaction():
            query = "SELECT row, at FROM messages ORDER BY row LIMIT ?"
            oldest = self._database.execute(query, (most,)).fetchall()
            if not oldest:
                raise SpoolDamagedError("it holds fewer messages than it says")
            rows = []
            for row, at in oldest:
                if before is not None and isinstance(at, float) and at >= before:
                    break
                rows.append(row)
            deleted = self._delete(rows)
        self.messages -= deleted
        return rows

    def read(self, after_row: int, most: int) -> Found:
        """The next messages after a row."""
        query = "SELECT row, at, stream, payload, crc FROM messages WHERE row > ? ORDER BY row LIMIT ?"
        with _damage_told():
            rows = self._database.execute(query, (after_row, most)).fetchall()
        entries, spoilt = [], []
        for row, at, stream, payload, crc in rows:
            message = _message(stream, payload, crc)
            if message is None or not isinstance(at, float):
                spoilt.append(row)
            else:
                entries.append(Entry(message, at, row=row))
        return Found(entries, spoilt, rows[-1][0] if rows else after_row)

    def shrink(self) -> None:
        """Give the disk back what an empty spool does not need; cheap, for nothing is copied."""
        with _damage_told():
            if not self.messages and self._value("PRAGMA page_count") > _EMPTY_PAGES:
                self._database.execute("VACUUM")
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Give the file back; may be called twice. The write-ahead log goes into the file."""
        self._database.close()

    def _set_up(self, wal_pages: int) -> None:
        for pragma in (
            f"page_size={_PAGE_BYTES}",
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=OFF",  # Debian's default overwrites with zeros what is deleted
            "trusted_schema=OFF",
            "cell_size_check=ON",
            f"wal_autocheckpoint={wal_pages}",
            f"journal_size_limit={wal_pages * _PAGE_BYTES}",
        ):
            self._database.execute(f"PRAGMA {pragma}").fetchall()
        with self._transaction():  # which takes the lock, and keeps it
            version = self._value("PRAGMA user_version")
            tables = self._value("SELECT count(*) FROM sqlite_master")
            if not tables:
                for statement in _TABLES.split(";"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version={_VERSION}")
            elif version != _VERSION:
                raise SpoolDamagedError(f"it is no spool of this version of Framelane (version {version})")

    def _doubt(self, last_row: int) -> None:
        """What can be wrong in a file that SQLite finds in order."""
        messages = self._value("SELECT messages FROM totals")
        if (
            not isinstance(messages, int)
            or not 0 <= messages <= last_row <= _MOST_ROW
            or (last_row and not messages)
        ):
            raise SpoolDamagedError("its count of messages is wrong")
        self.messages = messages

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._database.in_transaction:  # the last commit failed
            self._database.rollback()
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            yield

    def _delete(self, rows: Sequence[int]) -> int:
        cursor = self._database.executemany("DELETE FROM messages WHERE row = ?", [(row,) for row in rows])
        deleted = max(cursor.rowcount, 0)  # -1 where there was nothing to execute
        self._count(-deleted)
        return deleted

    def _count(self, change: int) -> None:
        self._database.execute("UPDATE totals SET messages = messages + ?", (change,))

    def _used_pages(self) -> int:
        used: int = self._value("PRAGMA page_count") - self._value("PRAGMA freelist_count")
        return used

    def _value(self, query: str) -> Any:  # noqa: ANN401 - SQLite's values have the type of the moment
        row = self._database.execute(query).fetchone()
        return None if row is None else row[0]


def _make(path: Path) -> None:
    """An empty file that only its owner may read; SQLite gives its write-ahead log the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # or the name could be gone after a power cut, whatever SQLite synced
    finally:
        os.close(folder)


@contextmanager
def _damage_told() -> Iterator[None]:
    """SQLite's way to say that a file is damaged; a fault of the moment is an OperationalError, its subclass."""
    try:
        yield
    except sqlite3.ProgrammingError:  # a fault of ours
        raise
    except sqlite3.OperationalError as error:
        if str(error).startswith(_NOT_OURS):
            raise SpoolDamagedError(str(error)) from error
        raise
    # SQLite's words may cite the damage, which is no UTF-8 then.
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise SpoolDamagedError(str(error)) from error


def _row(message: Message) -> tuple[bytes, bytes, int]:
    stream = (message.stream or "").encode()
    return stream, message.payload, zlib.crc32(message.payload, zlib.crc32(stream))


def _message(stream: object, payload: object, crc: object) -> Message | None:
    """The message as it is to be replayed; None where the row was damaged, which SQLite does not notice."""
    if not isinstance(stream, bytes) or not isinstance(payload, bytes):
        return None
    if zlib.crc32(payload, zlib.crc32(stream)) != crc:
        return None
    try:
        return as_replayed(Message("detections", stream.decode(), payload, retain=False))
    except ValueError:
        return None
