"""The spool on disk: one SQLite file with a row for each message, in order. Commits are rare, so they cost little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.messages.rows import MOST_ROW, ROW_BYTES, columns_of, found_in
from framelane.storage.database import DamagedError, Database, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from framelane.messages.rows import Found
    from framelane.sinks.mqtt.spool.backlog import Entry

_LAYOUT = Layout(
    "spool",
    1,
    """
    CREATE TABLE messages (
        row INTEGER PRIMARY KEY, at REAL NOT NULL, stream BLOB NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL
    );
    CREATE TABLE totals (messages INTEGER NOT NULL);
    INSERT INTO totals VALUES (0);
""",
)


class SpoolFile:
    """An open spool; used by one thread.

    Args:
        path: created with mode 0600 if it does not exist.
        max_bytes: most bytes of file and write-ahead log together; `full` says when the oldest must be
            deleted.
        least_row: the lowest row number to use, so that none is used twice in a process.

    Raises:
        DamagedError: set the file aside. Any method may raise it.
        sqlite3.OperationalError: it can't be used now: locked, no space, no permission. Any method may raise
            it.
        OSError: it can't be created, or the disk is full. `write` may raise it too.
    """

    def __init__(self, path: Path, max_bytes: int, least_row: int = 1) -> None:
        self.path = path
        self.messages = 0
        """Messages on disk."""
        self.next_row = least_row
        self._database = Database(path, max_bytes, _LAYOUT, self._doubt)

    @property
    def full(self) -> bool:
        """Whether the oldest must be deleted for new messages."""
        return self._database.full

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk: the file and its write-ahead log."""
        return self._database.disk_bytes

    @property
    def oldest_at(self) -> float | None:
        """Unix time at which the oldest message was published; None if there is none."""
        at = self._database.value("SELECT at FROM messages ORDER BY row LIMIT 1")
        return at if isinstance(at, float) else None

    def write(self, entries: Sequence[Entry]) -> int:
        """Add messages and wait until the medium has them.

        Return the first one's row; the others follow it.
        """
        first = self.next_row
        rows = [(row, entry.at, *columns_of(entry.message)) for row, entry in enumerate(entries, first)]
        self._database.take_room(len(entry.message.payload) + ROW_BYTES for entry in entries)
        with self._database.transaction():
            self._database.change("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", rows)
            self._count(len(rows))
        self.next_row = first + len(rows)
        self.messages += len(rows)
        return first

    def delete(self, rows: Sequence[int]) -> int:
        """Delete rows and return how many existed. A few at a time can be deleted on a full disk too."""
        deleted = self._database.free(lambda: self._delete(rows))
        self.messages -= deleted
        return deleted

    def delete_oldest(self, most: int, before: float | None = None) -> list[int]:
        """Delete up to `most` of the oldest messages and return their rows.

        Args:
            most: how many to delete at most.
            before: delete only those published before this Unix time.
        """
        with self._database.transaction():
            oldest = self._database.rows("SELECT row, at FROM messages ORDER BY row LIMIT ?", most)
            if not oldest:
                raise DamagedError("it holds fewer messages than it says")
            rows = []
            for row, at in oldest:
                if before is not None and isinstance(at, float) and at >= before:
                    break
                rows.append(row)
            deleted = self._delete(rows)
        self.messages -= deleted
        return rows

    def read(self, after_row: int, most: int) -> Found:
        """Return the next messages after a row."""
        query = "SELECT row, at, stream, payload, crc FROM messages WHERE row > ? ORDER BY row LIMIT ?"
        return found_in(self._database.rows(query, after_row, most), "detections", after_row)

    def shrink(self) -> None:
        """Return unused space of an empty spool to the disk; cheap, because nothing is copied."""
        if not self.messages:
            self._database.shrink()

    def close(self) -> None:
        """Close the file, after moving the write-ahead log into it. A repeated call does nothing."""
        self._database.close()

    def _doubt(self, database: Database) -> None:
        """Check for damage that SQLite does not detect."""
        last_row = database.value("SELECT max(row) FROM messages") or 0
        messages = database.value("SELECT messages FROM totals")
        if (
            not isinstance(messages, int)
            or not 0 <= messages <= last_row <= MOST_ROW
            or (last_row and not messages)
        ):
            raise DamagedError("its count of messages is wrong")
        self.messages = messages
        self.next_row = max(last_row + 1, self.next_row)

    def _delete(self, rows: Sequence[int]) -> int:
        deleted = self._database.change("DELETE FROM messages WHERE row = ?", [(row,) for row in rows])
        self._count(-deleted)
        return deleted

    def _count(self, change: int) -> None:
        self._database.change("UPDATE totals SET messages = messages + ?", [(change,)])
