"""The journal on disk: one SQLite file with events, in order, and with facts.

A transaction writes events together with the counters that they changed, so neither is ever without the
other. An event is written once; the table `undelivered` says which of them the broker does not have. The
others are the history.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from framelane.events.facts import FactKey
from framelane.messages.rows import MOST_ROW, ROW_BYTES, checksum, columns_of, found_in
from framelane.storage.database import DamagedError, Database, Layout
from framelane.storage.paths import state_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from framelane.config.sections.journal import JournalConfig
    from framelane.events.outbox import Entry
    from framelane.messages.rows import Found, StoredRow

VERSION = 2
_FIRST = """
    CREATE TABLE events (
        row INTEGER PRIMARY KEY, at REAL NOT NULL, stream BLOB NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL
    );
    CREATE TABLE facts (
        kind TEXT NOT NULL, names TEXT NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (kind, names)
    ) WITHOUT ROWID
"""
# In version 1 all events were undelivered.
_SECOND = """
    CREATE TABLE undelivered (row INTEGER PRIMARY KEY);
    INSERT INTO undelivered SELECT row FROM events;
    CREATE TABLE identity (name TEXT NOT NULL);
    INSERT INTO identity VALUES (lower(hex(randomblob(8))))
"""
_LAYOUT = Layout("journal", VERSION, f"{_FIRST};{_SECOND}", {1: _SECOND})
_UNDELIVERED = (
    "SELECT undelivered.row, at, stream, payload, crc FROM undelivered LEFT JOIN events USING (row) "
    "WHERE undelivered.row > ? ORDER BY undelivered.row LIMIT ?"
)
_DELIVERED = "SELECT row, at FROM events WHERE row NOT IN (SELECT row FROM undelivered) ORDER BY row LIMIT ?"
_NEWEST_FIRST = (
    "SELECT row, at, stream, payload, crc FROM events WHERE row > ? AND row < ? ORDER BY row DESC LIMIT ?"
)
_LEAST_ROW = "SELECT ifnull(min(row), 0) FROM (SELECT row FROM events UNION ALL SELECT row FROM undelivered)"
_MOST_ROW = "SELECT ifnull(max(row), 0) FROM (SELECT row FROM events UNION ALL SELECT row FROM undelivered)"
# More unused pages than these are worth returning: 1 MiB.
_UNUSED_PAGES = 256
# Shrinking copies what is used, so it must be little.
_MOSTLY_UNUSED = 3


class JournalFile:
    """An open journal; used by one thread.

    Args:
        path: created with mode 0600 if it does not exist.
        max_bytes: most bytes on disk; `full` says when events must be deleted.
        least_row: the lowest row number to use, so that none is used twice in a process.

    Raises:
        OtherVersionError: another version of Framelane wrote it.
        DamagedError: set the file aside. Any method may raise it.
        sqlite3.OperationalError: it can't be used now: locked, no space, no permission. Any method may raise
            it.
        OSError: it can't be created, or the disk is full. `write` may raise it too.
    """

    def __init__(self, path: Path, max_bytes: int, least_row: int = 1) -> None:
        self.next_row = least_row
        self.events = 0
        """Undelivered events on disk."""
        self.kept = 0
        """Delivered events on disk."""
        self.identity = ""
        """Tells this file from one that replaces it, whose rows have the same numbers."""
        self._database = Database(path, max_bytes, _LAYOUT, self._doubt)

    @property
    def full(self) -> bool:
        """Whether events must be deleted for new ones."""
        return self._database.full

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk: the file and its write-ahead log."""
        return self._database.disk_bytes

    @property
    def oldest_at(self) -> float | None:
        """Unix time at which the oldest undelivered event was written; None if there is none."""
        at = self._database.value("SELECT at FROM events WHERE row = (SELECT min(row) FROM undelivered)")
        return at if isinstance(at, float) else None

    @property
    def first_at(self) -> float | None:
        """Unix time at which the oldest event was written, delivered or not; None if there is none."""
        at = self._database.value("SELECT at FROM events ORDER BY row LIMIT 1")
        return at if isinstance(at, float) else None

    def facts(self) -> dict[FactKey, bytes]:
        """Return all facts."""
        return {
            _fact_key(kind, names, value, crc): value
            for kind, names, value, crc in self._database.rows("SELECT kind, names, value, crc FROM facts")
        }

    def write(
        self, entries: Sequence[Entry], facts: Mapping[FactKey, bytes | None], *, delivered: bool = False
    ) -> int:
        """Write events and facts, all or nothing, and wait until the medium has them.

        Return the first event's row; the others follow it. `delivered` events are for the history alone.
        """
        first = self.next_row
        events = [(row, entry.at, *columns_of(entry.message)) for row, entry in enumerate(entries, first)]
        texts = [(key.kind, orjson.dumps(key.names).decode(), value) for key, value in facts.items()]
        put = [
            (kind, names, value, checksum(kind.encode(), names.encode(), value))
            for kind, names, value in texts
            if value is not None
        ]
        drop = [(kind, names) for kind, names, value in texts if value is None]
        sizes = [len(entry.message.payload) for entry in entries]
        sizes += [len(names) + len(value) for _, names, value, _ in put]
        self._database.take_room(size + ROW_BYTES for size in sizes)
        with self._database.transaction():
            self._database.change("INSERT INTO events VALUES (?, ?, ?, ?, ?)", events)
            if not delivered:
                self._database.change("INSERT INTO undelivered VALUES (?)", [(row,) for row, *_ in events])
            self._database.change("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", put)
            self._database.change("DELETE FROM facts WHERE kind = ? AND names = ?", drop)
        self.next_row = first + len(events)
        if delivered:
            self.kept += len(events)
        else:
            self.events += len(events)
        return first

    def settle(self, rows: Sequence[int], *, keep: bool) -> None:
        """Note that events were delivered, and keep or delete them. A few at a time work on a full disk too."""

        def settle() -> int:
            settled = self._database.change("DELETE FROM undelivered WHERE row = ?", _each(rows))
            if not keep:
                self._database.change("DELETE FROM events WHERE row = ?", _each(rows))
            return settled

        settled = self._database.free(settle)
        self.events -= settled
        self.kept += settled if keep else 0

    def delete_oldest(self, most: int, before: float | None = None) -> list[int]:
        """Delete up to `most` of the oldest undelivered events, if written before a Unix time; return their rows."""

        def delete() -> list[int]:
            rows = _rows_before(self._database.rows(_UNDELIVERED, 0, most), before)
            self._database.change("DELETE FROM undelivered WHERE row = ?", _each(rows))
            self._database.change("DELETE FROM events WHERE row = ?", _each(rows))
            return rows

        rows = self._database.free(delete)
        self.events -= len(rows)
        return rows

    def forget_oldest(self, most: int, before: float | None = None) -> int:
        """Delete up to `most` of the oldest delivered events, if written before a Unix time; return how many."""
        if not self.kept:
            return 0

        def forget() -> int:
            rows = _rows_before(self._database.rows(_DELIVERED, most), before)
            return self._database.change("DELETE FROM events WHERE row = ?", _each(rows))

        gone = self._database.free(forget)
        self.kept -= gone
        return gone

    def read(self, after_row: int, most: int) -> Found:
        """Return the next undelivered events after a row, as replayed."""
        return found_in(self._database.rows(_UNDELIVERED, after_row, most), "events", after_row)

    def newest(self, after_row: int, before_row: int, most: int) -> Sequence[StoredRow]:
        """Return the newest events between two rows, newest first, delivered or not."""
        rows: Sequence[StoredRow] = self._database.rows(_NEWEST_FIRST, after_row, before_row, most)
        return rows

    def shrink(self) -> None:
        """Return unused space to the disk, if it is worth it and there is room to do so."""
        unused = self._database.value("PRAGMA freelist_count")
        used = self._database.value("PRAGMA page_count") - unused
        if not self.events and unused > _UNUSED_PAGES and unused > _MOSTLY_UNUSED * used:
            with suppress(sqlite3.OperationalError):
                self._database.shrink()

    def close(self) -> None:
        """Close the file, after moving the write-ahead log into it. A repeated call does nothing."""
        self._database.close()

    def _doubt(self, database: Database) -> None:
        """Count the events, and check for damage that SQLite does not detect."""
        first_row, last_row = database.value(_LEAST_ROW), database.value(_MOST_ROW)
        if not 0 <= first_row <= last_row <= MOST_ROW:
            raise DamagedError("its rows have impossible numbers")
        self.identity = str(database.value("SELECT name FROM identity"))
        self.events = database.value("SELECT count(*) FROM undelivered")
        self.kept = max(database.value("SELECT count(*) FROM events") - self.events, 0)
        self.next_row = max(last_row + 1, self.next_row)


def path_of(config: JournalConfig, node: str, environ: Mapping[str, str]) -> Path:
    """Return where a node has its journal."""
    folder = state_folder(environ, "journal") if config.folder is None else Path(config.folder)
    return folder / f"{node}.journal"


def _each(rows: Sequence[int]) -> list[tuple[int]]:
    return [(row,) for row in rows]


def _rows_before(found: Sequence[tuple[Any, ...]], before: float | None) -> list[int]:
    """Return the rows up to the first that was not written before a Unix time."""
    rows = []
    for row, at, *_ in found:
        if before is not None and isinstance(at, float) and at >= before:
            break
        rows.append(row)
    return rows


def _fact_key(kind: object, names: object, value: object, crc: object) -> FactKey:
    if not isinstance(kind, str) or not isinstance(names, str) or not isinstance(value, bytes):
        raise DamagedError("a fact is unreadable")
    if checksum(kind.encode(), names.encode(), value) != crc:
        raise DamagedError(f"a fact about {kind} has changed by itself")
    return FactKey(kind, tuple(orjson.loads(names)))
