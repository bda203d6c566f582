"""The journal on disk: one SQLite file with undelivered events, in order, and with facts.

A transaction writes events together with the counters that they changed, so neither is ever without the
other.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from framelane.events.facts import FactKey
from framelane.messages.rows import MOST_ROW, ROW_BYTES, checksum, columns_of, found_in
from framelane.storage.database import DamagedError, Database, Layout
from framelane.storage.paths import state_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from framelane.config.sections.journal import JournalConfig
    from framelane.events.outbox import Entry
    from framelane.messages.rows import Found

VERSION = 1
_LAYOUT = Layout(
    "journal",
    VERSION,
    """
    CREATE TABLE events (
        row INTEGER PRIMARY KEY, at REAL NOT NULL, stream BLOB NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL
    );
    CREATE TABLE facts (
        kind TEXT NOT NULL, names TEXT NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (kind, names)
    ) WITHOUT ROWID
""",
)
# More unused pages than these are worth returning: 1 MiB.
_UNUSED_PAGES = 256


class JournalFile:
    """An open journal; used by one thread.

    Args:
        path: created with mode 0600 if it does not exist.
        max_bytes: most bytes on disk; `full` says when the oldest events must be deleted.
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
        """Events on disk."""
        self._database = Database(path, max_bytes, _LAYOUT, self._doubt)

    @property
    def full(self) -> bool:
        """Whether the oldest events must be deleted for new ones."""
        return self._database.full

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk: the file and its write-ahead log."""
        return self._database.disk_bytes

    @property
    def oldest_at(self) -> float | None:
        """Unix time at which the oldest event was written; None if there is none."""
        at = self._database.value("SELECT at FROM events ORDER BY row LIMIT 1")
        return at if isinstance(at, float) else None

    def facts(self) -> dict[FactKey, bytes]:
        """Return all facts."""
        return {
            _fact_key(kind, names, value, crc): value
            for kind, names, value, crc in self._database.rows("SELECT kind, names, value, crc FROM facts")
        }

    def write(self, entries: Sequence[Entry], facts: Mapping[FactKey, bytes | None]) -> int:
        """Write events and facts, all or nothing, and wait until the medium has them.

        Return the first event's row; the others follow it.
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
            self._database.change("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", put)
            self._database.change("DELETE FROM facts WHERE kind = ? AND names = ?", drop)
        self.next_row = first + len(events)
        self.events += len(events)
        return first

    def delete(self, rows: Sequence[int]) -> None:
        """Delete events. A few at a time can be deleted on a full disk too."""
        self.events -= self._database.free(lambda: self._delete(rows))

    def delete_oldest(self, most: int, before: float | None = None) -> list[int]:
        """Delete up to `most` of the oldest events, if written before a Unix time; return their rows."""

        def delete() -> list[int]:
            rows = []
            for row, at in self._database.rows("SELECT row, at FROM events ORDER BY row LIMIT ?", most):
                if before is not None and isinstance(at, float) and at >= before:
                    break
                rows.append(row)
            self._delete(rows)
            return rows

        rows = self._database.free(delete)
        self.events -= len(rows)
        return rows

    def read(self, after_row: int, most: int) -> Found:
        """Return the next events after a row, as replayed."""
        query = "SELECT row, at, stream, payload, crc FROM events WHERE row > ? ORDER BY row LIMIT ?"
        return found_in(self._database.rows(query, after_row, most), "events", after_row)

    def shrink(self) -> None:
        """Return the space of delivered events to the disk, if it is worth it and there is room to do so."""
        if not self.events and self._database.value("PRAGMA freelist_count") > _UNUSED_PAGES:
            with suppress(sqlite3.OperationalError):
                self._database.shrink()

    def close(self) -> None:
        """Close the file, after moving the write-ahead log into it. A repeated call does nothing."""
        self._database.close()

    def _doubt(self, database: Database) -> None:
        """Count the events, and check for damage that SQLite does not detect."""
        last_row = database.value("SELECT max(row) FROM events") or 0
        if not 0 <= last_row <= MOST_ROW:
            raise DamagedError("its rows have impossible numbers")
        self.events = database.value("SELECT count(*) FROM events")
        self.next_row = max(last_row + 1, self.next_row)

    def _delete(self, rows: Sequence[int]) -> int:
        return self._database.change("DELETE FROM events WHERE row = ?", [(row,) for row in rows])


def path_of(config: JournalConfig, node: str, environ: Mapping[str, str]) -> Path:
    """Return where a node has its journal."""
    folder = state_folder(environ, "journal") if config.folder is None else Path(config.folder)
    return folder / f"{node}.journal"


def _fact_key(kind: object, names: object, value: object, crc: object) -> FactKey:
    if not isinstance(kind, str) or not isinstance(names, str) or not isinstance(value, bytes):
        raise DamagedError("a fact is unreadable")
    if checksum(kind.encode(), names.encode(), value) != crc:
        raise DamagedError(f"a fact about {kind} has changed by itself")
    return FactKey(kind, tuple(orjson.loads(names)))
