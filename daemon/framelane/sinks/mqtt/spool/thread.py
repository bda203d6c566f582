"""The thread that moves detections from memory to disk, and back when the broker accepts them."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.config.sizes import parse_bytes
from framelane.core.backoff import Backoff
from framelane.core.outage import Outage
from framelane.core.worker import Worker
from framelane.sinks.mqtt.spool.backlog import Entry
from framelane.sinks.mqtt.spool.file import SpoolFile
from framelane.storage.database import DamagedError
from framelane.storage.faults import explained
from framelane.storage.paths import set_aside, wal_of
from framelane.storage.reserve import is_full
from framelane.telemetry.sink_health import SpoolHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from framelane.config.sections.spool import SpoolConfig
    from framelane.core.clock import Clock
    from framelane.core.drop_reasons import LossReason
    from framelane.sinks.mqtt.spool.backlog import Backlog
    from framelane.sinks.mqtt.spool.location import SpoolLocation

log = structlog.get_logger(__name__)

# Share of sync_ms after which a message goes to disk; the rest is for the tick and for the disk.
_AGE_SHARE = 0.5
# Ticks per sync_ms.
_TICKS = 4
_ADOPT_S = 30.0
# How long a spool counts as full after it has dropped its oldest.
_FULL_S = 60.0
_AT_ONCE = 1000
# In rows, which may lie on as many pages.
_DELETED_AT_ONCE = 200
# In bytes.
_WRITTEN_AT_ONCE = 1 << 19
_FIRST_S = 1.0
_MOST_S = 30.0


class SpoolWatch(Protocol):
    """Called when detections become safe or unsafe, such as `StatusBoard.spool_changed`."""

    def __call__(self, trouble: str | None, /) -> None:
        """Take the reason why detections are not safe, or None if they are; called on the spool's thread."""
        ...


class Spool(Worker):
    """Keeps on disk what the broker has not acknowledged within `sync_ms`, within limits of size and age.

    With a broker that acknowledges in time, the disk is not touched. Neither the pipeline nor the sender ever
    waits for the disk: both work on the backlog in memory. While the disk can't be used, memory is all there
    is.

    Args:
        config: the `mqtt.spool` section.
        place: where the file is.
        backlog: the messages.
        arrived: called when messages have been read from disk and can be sent.
        clock: for ages and waits.
        expiry_s: age from which a message is not worth keeping; 0 for never.
        watch: called when detections become safe or unsafe.
    """

    def __init__(
        self,
        config: SpoolConfig,
        place: SpoolLocation,
        backlog: Backlog,
        arrived: Callable[[], None],
        clock: Clock,
        *,
        expiry_s: float,
        watch: SpoolWatch,
    ) -> None:
        super().__init__("spool")
        self.health = SpoolHealth()
        self._max_bytes = parse_bytes(config.max_bytes)
        self._limit_text = config.max_bytes
        self._bounds: list[tuple[float, LossReason]] = [(config.max_age_s, "age")]
        if expiry_s:
            self._bounds.append((expiry_s, "expired"))
        self._age_s = _AGE_SHARE * config.sync_ms / 1e3
        self._tick_s = config.sync_ms / 1e3 / _TICKS
        self._place = place
        self._backlog = backlog
        self._arrived = arrived
        self._clock = clock
        self._watch = watch
        self._woken = threading.Event()
        self._outage = Outage("sink", clock, sink="spool")
        self._backoff = Backoff(_FIRST_S, _MOST_S)
        self._file: SpoolFile | None = None
        self._next_row = 1
        self._oldest_at: float | None = None
        self._due_s = self._retry_s = self._delete_s = self._adopt_s = self._full_s = float("-inf")
        backlog.nudge = self._woken.set

    def wake(self) -> None:
        """Make the thread look for work at once."""
        self._woken.set()

    def run_once(self) -> None:
        """Wait for the next tick or a wake-up, and do what is due."""
        self._woken.wait(self._tick_s)
        self._woken.clear()
        if self._file is None and self._clock.monotonic() >= self._retry_s:
            self._open()
        if self._file is not None:
            self._work(self._file)
        self._report()

    def failed(self, error: Exception) -> float:
        """Report the fault. Messages stay in memory until the next attempt."""
        now_s = self._clock.monotonic()
        self._retry_s = now_s + self._backoff.next_s()
        self._delete_s = now_s + _FIRST_S
        if isinstance(error, DamagedError):
            self._give_up_file(error)
        elif isinstance(error, (sqlite3.Error, OSError)):
            self._outage.failed("disk", f"{self._place.path}: {self._explained(error)}")
            # A full spool can still be read, and so be emptied.
            if not is_full(error):
                self._close()
        else:
            super().failed(error)
            self._outage.failed("failed", f"{self._place.path}: {type(error).__name__}")
            self._close()
        self._report()
        return 0.0

    def ended(self) -> None:
        """Write everything left, of any age."""
        try:
            if self._file is None:
                self._open()
            if self._file is not None:
                self._write(self._delete(self._file), float("inf"))
        except (sqlite3.Error, OSError, DamagedError) as error:
            self._outage.failed("disk", f"{self._place.path}: {self._explained(error)}")
        self._report()
        self._close()

    def _work(self, file: SpoolFile) -> None:
        now_s = self._clock.monotonic()
        pressed = self._backlog.pressed
        due = now_s >= self._due_s or pressed
        writes = due and now_s >= self._retry_s
        # Deletions need no space, and free some.
        if due and (writes or now_s >= self._delete_s):
            self._due_s = now_s + self._tick_s
            file = self._delete(file)
        if writes:
            self._write(file, now_s if pressed else now_s - self._age_s)
        # Works on a full disk too.
        self._read_ahead(file)
        if writes:
            self._backoff.reset()
            self._outage.over()
            if not file.messages and now_s >= self._adopt_s:
                self._rest(file)

    def _delete(self, file: SpoolFile) -> SpoolFile:
        """Delete delivered messages.

        Return the file, a new one if all was delivered and could not be deleted.
        """
        settled = self._backlog.deletable()
        at, most = 0, _DELETED_AT_ONCE
        while at < len(settled):
            rows = settled[at : at + most]
            try:
                self._backlog.deleted(rows, file.delete(rows))
            except sqlite3.OperationalError as error:
                if not is_full(error):
                    raise
                if len(settled) - at >= file.messages:
                    return self._begin_anew(settled[at:])
                if most == 1:
                    raise
                most //= 2
            else:
                at += len(rows)
        return file

    def _begin_anew(self, settled: list[int]) -> SpoolFile:
        """Replace a file whose rows are all delivered, if the disk lacks even the room to delete them."""
        self._close()
        for path in (self._place.path, wal_of(self._place.path)):
            path.unlink(missing_ok=True)
        self._backlog.deleted(settled, len(settled))
        return self._open()

    def _write(self, file: SpoolFile, before_s: float) -> None:
        """Write what the broker does not have, and enforce the limits."""
        for entries in _portions(self._backlog.unwritten(before_s)):
            self._backlog.wrote(entries, file.write(entries))
        self._keep_bounds(file)

    def _keep_bounds(self, file: SpoolFile) -> None:
        while file.messages and file.full:
            rows = file.delete_oldest(max(file.messages // 100, _AT_ONCE // 10))
            if self._backlog.gave_up(rows, "size"):
                self._full_s = self._clock.monotonic()
        self._oldest_at = file.oldest_at if file.messages else None
        for most_s, reason in self._bounds:
            before = self._clock.wall() - most_s
            while self._oldest_at is not None and self._oldest_at < before:
                self._backlog.gave_up(file.delete_oldest(_AT_ONCE, before), reason)
                self._oldest_at = file.oldest_at

    def _read_ahead(self, file: SpoolFile) -> None:
        while (gap := self._backlog.gap()) is not None:
            found = file.read(gap.row, gap.most)
            if found.unreadable:
                self._backlog.unreadable(found.unreadable)
            entries = [Entry(message, at, row=row) for message, at, row in found.entries]
            if self._backlog.read(gap, entries, found.last_row):
                self._arrived()
            if found.last_row == gap.row:
                return

    def _rest(self, file: SpoolFile) -> None:
        """Free the space of an empty spool, and look for orphans."""
        self._adopt_s = self._clock.monotonic() + _ADOPT_S
        file.shrink()
        for orphan in self._place.orphans():
            if self._holds_messages(orphan):
                self._close()
                self._place.inherit(orphan)
                log.info("spool_adopted", path=str(orphan))
                self._open()
                return

    def _holds_messages(self, orphan: Path) -> bool:
        """Return whether an orphan holds messages and can be taken over. Delete an empty one."""
        try:
            file = SpoolFile(orphan, self._max_bytes)
        except DamagedError as error:
            log.warning("spool_corrupt", path=str(orphan), error=str(error), kept=str(set_aside(orphan)))
            return False
        # Another process has it open.
        except sqlite3.OperationalError:
            return False
        messages = file.messages
        file.close()
        # On closing, there was no room to move its log into the file.
        if wal_of(orphan).exists():
            return False
        if not messages:
            orphan.unlink()
        return messages > 0

    def _open(self) -> SpoolFile:
        self._place.make()
        self._file = SpoolFile(self._place.path, self._max_bytes, self._next_row)
        self._backlog.found(self._file.messages)
        self._adopt_s = float("-inf")
        if self._file.messages:
            log.info("spool_opened", path=str(self._place.path), messages=self._file.messages)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._next_row = self._file.next_row
            self._file.close()
            self._file = None

    def _give_up_file(self, error: DamagedError) -> None:
        """Start a new spool, and keep the damaged one for inspection."""
        self._close()
        path = self._place.path
        try:
            kept = set_aside(path)
        except OSError as trouble:
            self._outage.failed(
                "disk", f"{path} is damaged ({error}) and can't be renamed: {trouble.strerror}"
            )
            return
        lost = self._backlog.lost_disk("corrupt")
        log.error("spool_corrupt", path=str(path), error=str(error), kept=str(kept), messages_lost=lost)
        self._retry_s = float("-inf")

    def _report(self) -> None:
        before, oldest_at = self.health, self._oldest_at
        full = self._clock.monotonic() - self._full_s < _FULL_S
        self.health = SpoolHealth(
            messages=self._backlog.on_disk(),
            disk_bytes=before.disk_bytes if self._file is None else self._file.disk_bytes,
            oldest_s=None if oldest_at is None else max(self._clock.wall() - oldest_at, 0.0),
            trouble=self._trouble(full=full),
            full=full,
        )
        if self.health.trouble != before.trouble:
            self._watch(self.health.trouble)

    def _trouble(self, *, full: bool) -> str | None:
        if self._outage.text is not None:
            return f"the spool can't be used: {self._outage.text}"
        if full:
            return f"the spool is full (mqtt.spool.max_bytes, {self._limit_text}): the oldest detections are dropped"
        return None

    def _explained(self, error: Exception) -> str:
        text = explained(error, "mqtt.spool")
        return f"{text}; the newest {self._backlog.capacity} detections wait in memory meanwhile"


def _portions(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Divide messages so that no transaction makes the write-ahead log too large."""
    portion: list[Entry] = []
    room = _WRITTEN_AT_ONCE
    for entry in entries:
        room -= len(entry.message.payload)
        if room < 0 and portion:
            yield portion
            portion, room = [], _WRITTEN_AT_ONCE - len(entry.message.payload)
        portion.append(entry)
    if portion:
        yield portion
