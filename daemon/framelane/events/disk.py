"""The journal's file while it is usable: opened, written in portions, kept within its limits."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

import structlog

from framelane.config.sizes import parse_bytes
from framelane.core.backoff import Backoff
from framelane.core.outage import Outage
from framelane.events.journal_file import VERSION, JournalFile
from framelane.events.outbox import Entry
from framelane.storage.database import DamagedError, OtherVersionError
from framelane.storage.faults import explained
from framelane.storage.paths import make_folder, set_aside
from framelane.storage.reserve import is_full

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from framelane.config.sections.journal import JournalConfig
    from framelane.core.clock import Clock
    from framelane.events.ledger import Ledger
    from framelane.events.outbox import Outbox
    from framelane.messages.rows import StoredRow

log = structlog.get_logger(__name__)

_FIRST_S = 1.0
_MOST_S = 30.0
# Events in a transaction, or rows in a deletion, which may lie on as many pages.
_AT_ONCE = 200
# One event in this many is deleted at once when the file is full.
_SHARE = 100


class Newest(NamedTuple):
    """What was read of the newest events.

    Attributes:
        identity: of the file.
        last_row: the file's newest row.
        rows: the newest first.
    """

    identity: str
    last_row: int
    rows: Sequence[StoredRow]


class Disk:
    """Keeps the ledger's facts and the outbox's events on disk. Used by the journal's thread.

    No method raises for a fault of the disk: `usable` says whether the disk has everything that was given to
    it. While it has not, facts and events wait in memory, and the next attempt follows later.

    Args:
        config: the `journal` section.
        path: the file.
        ledger: has the facts.
        outbox: has the events; None if no sink acknowledges any, so that none must be kept.
        clock: for ages and waits.
    """

    def __init__(
        self, config: JournalConfig, path: Path, ledger: Ledger, outbox: Outbox | None, clock: Clock
    ) -> None:
        self.path = path
        self.usable = False
        self.oldest_at: float | None = None
        """Unix time at which the oldest event on disk was written; None if there is none."""
        self.outage = Outage("journal", clock)
        self._max_bytes = parse_bytes(config.max_bytes)
        self._max_age_s = config.max_age_s
        self._most_kept = config.history_events
        self._most_kept_s = config.history_age_s
        self._ledger = ledger
        self._outbox = outbox
        self._clock = clock
        self._backoff = Backoff(_FIRST_S, _MOST_S)
        self._file: JournalFile | None = None
        self._loaded = False
        self._next_row = 1
        self._retry_s = float("-inf")

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk."""
        return 0 if self._file is None else self._file.disk_bytes

    def prepare(self) -> None:
        """Open the file if it is closed and an attempt is due; the first time, load what it holds."""
        # A damaged file is set aside by the first attempt.
        for _ in range(2):
            if self._file is None and self._clock.monotonic() >= self._retry_s:
                try:
                    self._open()
                except (sqlite3.Error, OSError, DamagedError) as error:
                    self._failed(error)

    def save(self, entries: Sequence[Entry]) -> bool:
        """Write new events with the facts that they changed; return whether the disk has everything."""
        now_s = self._clock.monotonic()
        if self._file is None or now_s < self._retry_s:
            self.usable = False
        else:
            try:
                self._write_or_forget(self._file, entries)
            except (sqlite3.Error, OSError, DamagedError) as error:
                self._failed(error)
            else:
                self.usable = True
                self._backoff.reset()
                self.outage.over()
        return self.usable

    def tidy(self) -> None:
        """Settle delivered events, keep the limits, read ahead, and return unused space."""
        if self._file is None:
            return
        try:
            if self._outbox is not None:
                self._settle(self._file, self._outbox)
            self._keep_bounds(self._file)
            if self._outbox is not None:
                self._read_ahead(self._file, self._outbox)
            self._file.shrink()
        except (sqlite3.Error, OSError, DamagedError) as error:
            self._failed(error)

    def newest(self, after_row: int, before_row: int, most: int) -> Newest | None:
        """Return the newest events between two rows; None if they can't be read now."""
        file = self._file
        if file is None:
            return None
        try:
            return Newest(file.identity, file.next_row - 1, file.newest(after_row, before_row, most))
        except (sqlite3.Error, OSError, DamagedError) as error:
            self._failed(error)
            return None

    def close(self) -> None:
        """Close the file. A repeated call does nothing."""
        self.usable, self.oldest_at = False, None
        if self._outbox is not None:
            self._outbox.closed()
        if self._file is not None:
            self._next_row = self._file.next_row
            self._file.close()
            self._file = None

    def _open(self) -> None:
        make_folder(self.path.parent)
        file = JournalFile(self.path, self._max_bytes, self._next_row)
        if not self._loaded:
            try:
                self._ledger.load(file.facts())
            except (ValueError, TypeError, LookupError) as error:
                file.close()
                raise DamagedError(f"its facts can't be read: {type(error).__name__}") from error
            except (sqlite3.Error, DamagedError):
                file.close()
                raise
            self._loaded = True
        self._file = file
        if self._outbox is not None:
            self._outbox.opened(file.events, file.next_row)
        if file.events:
            log.info("journal_opened", path=str(self.path), events=file.events)

    def _write_or_forget(self, file: JournalFile, entries: Sequence[Entry]) -> None:
        """Write; on a full disk, in the place of the oldest delivered events."""
        while True:
            try:
                self._write(file, entries)
            except (sqlite3.OperationalError, OSError) as error:
                if not is_full(error) or not file.forget_oldest(_AT_ONCE):
                    raise
            else:
                return

    def _write(self, file: JournalFile, entries: Sequence[Entry]) -> None:
        facts, outbox = self._ledger.facts, self._outbox
        while outbox is not None and (loose := outbox.loose(_AT_ONCE)):
            outbox.wrote(loose, file.write(loose, facts.unsaved()))
            facts.saved()
        if entries or facts.unsaved():
            kept = entries if outbox is not None or self._most_kept else []
            first = file.write(kept, facts.unsaved(), delivered=outbox is None)
            facts.saved()
            if outbox is not None and entries:
                outbox.add(entries, first)

    def _settle(self, file: JournalFile, outbox: Outbox) -> None:
        settled = outbox.settled()
        for start in range(0, len(settled), _AT_ONCE):
            rows = settled[start : start + _AT_ONCE]
            file.settle(rows, keep=self._most_kept > 0)
            outbox.deleted(rows, file.events)

    def _keep_bounds(self, file: JournalFile) -> None:
        now = self._clock.wall()
        # Not one by one, because each deletion waits for the medium.
        most_kept = self._most_kept + _AT_ONCE - 1 if self._most_kept else 0
        while file.kept > most_kept and file.forget_oldest(_AT_ONCE):
            pass
        before = now - self._most_kept_s
        while (first_at := file.first_at) is not None and first_at < before:
            if not file.forget_oldest(_AT_ONCE, before):
                break
        # What was delivered goes first.
        while file.full and (file.forget_oldest(_AT_ONCE) or self._give_up(file, "size")):
            pass
        while (oldest_at := file.oldest_at) is not None and oldest_at < now - self._max_age_s:
            self._give_up(file, "age", now - self._max_age_s)
        self.oldest_at = oldest_at

    def _give_up(self, file: JournalFile, reason: str, before: float | None = None) -> bool:
        """Delete the oldest undelivered events; return whether there were any."""
        most = max(file.events // _SHARE, _AT_ONCE) if before is None else _AT_ONCE
        rows = file.delete_oldest(most, before)
        if self._outbox is not None:
            self._outbox.gave_up(rows, reason)
        return bool(rows)

    def _read_ahead(self, file: JournalFile, outbox: Outbox) -> None:
        while (gap := outbox.gap()) is not None:
            found = file.read(gap.row, gap.most)
            if found.unreadable:
                outbox.unreadable(found.unreadable)
            outbox.read([Entry(*each) for each in found.entries], found.last_row)

    def _failed(self, error: Exception) -> None:
        """Report the fault, and wait before the next attempt."""
        self.usable = False
        self._retry_s = self._clock.monotonic() + self._backoff.next_s()
        if isinstance(error, OtherVersionError) and error.version > VERSION:
            self.outage.failed("version", f"{self.path}: {error}: upgrade, or set another journal.folder")
        elif isinstance(error, DamagedError):
            self._give_up_file(error)
        else:
            self.outage.failed("disk", f"{self.path}: {explained(error, 'journal')}")
            # A full disk can still be read, and so be emptied.
            if is_full(error):
                return
        self.close()

    def _give_up_file(self, error: DamagedError) -> None:
        """Start a new file, and keep the damaged one for inspection."""
        self.close()
        try:
            kept = set_aside(self.path)
        except OSError as trouble:
            text = f"{self.path} is damaged ({error}) and can't be renamed: {trouble.strerror}"
            self.outage.failed("disk", text)
            return
        lost = 0 if self._outbox is None else self._outbox.lost_disk()
        log.error("journal_corrupt", path=str(self.path), error=str(error), kept=str(kept), events_lost=lost)
        self._ledger.facts.begin_again()
        # This process knows more than a new file does.
        self._loaded = True
        self._next_row = 1
        self._retry_s = float("-inf")
