"""The journal's file while it is usable: opened, written in portions, kept within its limits."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

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

log = structlog.get_logger(__name__)

_FIRST_S = 1.0
_MOST_S = 30.0
# Events in a transaction, or rows in a deletion, which may lie on as many pages.
_AT_ONCE = 200
# One event in this many is deleted at once when the file is full.
_SHARE = 100


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
                self._write(self._file, entries)
            except (sqlite3.Error, OSError, DamagedError) as error:
                self._failed(error)
            else:
                self.usable = True
                self._backoff.reset()
                self.outage.over()
        return self.usable

    def tidy(self) -> None:
        """Delete delivered events, keep the limits, read ahead, and return unused space."""
        if self._file is None or self._outbox is None:
            return
        try:
            self._delete(self._file, self._outbox)
            self._keep_bounds(self._file, self._outbox)
            self._read_ahead(self._file, self._outbox)
            self._file.shrink()
        except (sqlite3.Error, OSError, DamagedError) as error:
            self._failed(error)

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

    def _write(self, file: JournalFile, entries: Sequence[Entry]) -> None:
        facts = self._ledger.facts
        while self._outbox is not None and (loose := self._outbox.loose(_AT_ONCE)):
            self._outbox.wrote(loose, file.write(loose, facts.unsaved()))
            facts.saved()
        if entries or facts.unsaved():
            kept = entries if self._outbox is not None else []
            first = file.write(kept, facts.unsaved())
            facts.saved()
            if self._outbox is not None and entries:
                self._outbox.add(entries, first)

    def _delete(self, file: JournalFile, outbox: Outbox) -> None:
        settled = outbox.settled()
        for start in range(0, len(settled), _AT_ONCE):
            rows = settled[start : start + _AT_ONCE]
            file.delete(rows)
            outbox.deleted(rows, file.events)

    def _keep_bounds(self, file: JournalFile, outbox: Outbox) -> None:
        while file.events and file.full:
            outbox.gave_up(file.delete_oldest(max(file.events // _SHARE, _AT_ONCE)), "size")
        before = self._clock.wall() - self._max_age_s
        while (oldest_at := file.oldest_at) is not None and oldest_at < before:
            outbox.gave_up(file.delete_oldest(_AT_ONCE, before), "age")
        self.oldest_at = oldest_at

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
