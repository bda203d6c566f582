"""The thread that moves detections from memory to disk, and back when the broker takes them."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.config.sizes import parse_bytes
from framelane.core.backoff import Backoff
from framelane.core.worker import Worker
from framelane.sinks.outage import Outage
from framelane.sinks.sink import SpoolHealth
from framelane.sinks.spool_file import SpoolDamagedError, SpoolFile
from framelane.sinks.spool_place import set_aside, wal_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from framelane.config.spool import SpoolConfig
    from framelane.core.clock import Clock
    from framelane.sinks.backlog import Backlog
    from framelane.sinks.spool_place import SpoolPlace

log = structlog.get_logger(__name__)

_AGE_SHARE = 0.5  # of sync_ms, after which a message goes to disk; the rest is for the tick and for the disk
_TICKS = 4  # in sync_ms
_ADOPT_S = 30.0
_FULL_S = 60.0  # for so long a spool counts as full after it gave up its oldest
_AT_ONCE = 1000
_FIRST_S = 1.0
_MOST_S = 30.0


class SpoolWatch(Protocol):
    """Who wants to know whether detections are safe, such as `StatusBoard.spool_changed`."""

    def __call__(self, trouble: str | None, /) -> None:
        """They are not, and this is why, or they are (None); called at each change, on the spool's thread."""
        ...


class Spool(Worker):
    """Keeps on disk what the broker has not acknowledged within `sync_ms`, within bounds of size and age.

    With a broker that acknowledges in time the disk is not touched. Neither the pipeline nor the courier ever waits
    for it: both work on the backlog in memory. While the disk can't be used that is all there is.

    Args:
        config: the `mqtt.spool` section.
        place: where the file is.
        backlog: what is kept.
        arrived: called when messages have been read from disk, which can be sent now.
        clock: for ages and waits.
        expiry_s: from this age on a message is not worth keeping; 0 for never.
        watch: told whether detections are safe.
    """

    def __init__(
        self,
        config: SpoolConfig,
        place: SpoolPlace,
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
        self._bounds = [(config.max_age_s, "age")] + ([(expiry_s, "expired")] if expiry_s else [])
        self._age_s = _AGE_SHARE * config.sync_ms / 1e3
        self._tick_s = config.sync_ms / 1e3 / _TICKS
        self._place = place
        self._backlog = backlog
        self._arrived = arrived
        self._clock = clock
        self._watch = watch
        self._woken = threading.Event()
        self._outage = Outage("spool", clock)
        self._backoff = Backoff(_FIRST_S, _MOST_S)
        self._file: SpoolFile | None = None
        self._next_row = 1
        self._oldest_at: float | None = None
        self._due_s = self._retry_s = self._adopt_s = self._full_s = float("-inf")
        backlog.nudge = self._woken.set

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    def run_once(self) -> None:
        """Wait for the next tick or a nudge, and do what is due."""
        self._woken.wait(self._tick_s)
        self._woken.clear()
        if self._file is None and self._clock.monotonic() >= self._retry_s:
            self._open()
        if self._file is not None:
            self._work(self._file)
        self._report()

    def failed(self, error: Exception) -> float:
        """Say what is wrong; memory must do until the next try."""
        now_s = self._clock.monotonic()
        self._retry_s = now_s + self._backoff.next_s()
        if isinstance(error, SpoolDamagedError):
            self._give_up_file(error)
        elif isinstance(error, (sqlite3.Error, OSError)):
            self._outage.failed("disk", f"{self._place.path}: {self._explained(error)}")
            if not _is_full(error):  # else it can still be read, and so emptied
                self._close()
        else:
            super().failed(error)
            self._outage.failed("failed", f"{self._place.path}: {type(error).__name__}")
            self._close()
        self._report()
        return 0.0

    def ended(self) -> None:
        """Write what is left, whatever its age."""
        try:
            if self._file is None:
                self._open()
            if self._file is not None:
                self._sync(self._file, float("inf"))
        except (sqlite3.Error, OSError, SpoolDamagedError) as error:
            self._outage.failed("disk", f"{self._place.path}: {self._explained(error)}")
        self._report()
        self._close()

    def _work(self, file: SpoolFile) -> None:
        now_s = self._clock.monotonic()
        pressed = self._backlog.pressed
        due = (now_s >= self._due_s or pressed) and now_s >= self._retry_s
        if due:
            self._due_s = now_s + self._tick_s
            self._sync(file, now_s if pressed else now_s - self._age_s)
        self._read_ahead(file)  # which a full disk does not prevent
        if due:
            self._backoff.reset()
            self._outage.over()
            if not file.messages and now_s >= self._adopt_s:
                self._rest(file)

    def _sync(self, file: SpoolFile, before_s: float) -> None:
        """Delete what the broker has, write what it does not have, keep the bounds."""
        settled = self._backlog.deletable()
        if settled:
            self._backlog.deleted(settled, file.delete(settled))
        entries = self._backlog.unwritten(before_s)
        if entries:
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
            if found.spoilt:
                self._backlog.spoilt(found.spoilt)
            if self._backlog.read(gap, found.entries, found.last_row):
                self._arrived()
            if found.last_row == gap.row:
                return

    def _rest(self, file: SpoolFile) -> None:
        """Nothing is left: give the space back, and look whether somebody has left something."""
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
        """Whether it can be taken over; one that is empty is deleted."""
        try:
            file = SpoolFile(orphan, self._max_bytes)
        except SpoolDamagedError as error:
            log.warning("spool_corrupt", path=str(orphan), error=str(error), kept=str(set_aside(orphan)))
            return False
        except sqlite3.OperationalError:  # somebody has it open
            return False
        messages = file.messages
        file.close()
        if wal_of(orphan).exists():  # closing it had no room to put its log into it
            return False
        if not messages:
            orphan.unlink()
        return messages > 0

    def _open(self) -> None:
        self._place.make()
        self._file = SpoolFile(self._place.path, self._max_bytes, self._next_row)
        self._backlog.found(self._file.messages)
        self._adopt_s = float("-inf")
        if self._file.messages:
            log.info("spool_opened", path=str(self._place.path), messages=self._file.messages)

    def _close(self) -> None:
        if self._file is not None:
            self._next_row = self._file.next_row
            self._file.close()
            self._file = None

    def _give_up_file(self, error: SpoolDamagedError) -> None:
        """Begin a new spool; the damaged one is kept for who wants to look at it."""
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
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        remedy = next((remedy for words, remedy in _REMEDIES if words in text), "")
        return f"{text}{remedy}; the newest {self._backlog.capacity} detections wait in memory meanwhile"


_REMEDIES = (
    (
        "database is locked",
        ": another process uses it; do two daemons have one node.id? Give each its own, or its own mqtt.spool.folder",
    ),
    ("full", ": make room, or lower mqtt.spool.max_bytes"),
    ("No space left", ": make room, or lower mqtt.spool.max_bytes"),
    ("readonly", ": let this user write there, or set mqtt.spool.folder"),
    ("unable to open", ": let this user write there, or set mqtt.spool.folder"),
    ("denied", ": let this user write there, or set mqtt.spool.folder"),
    ("Read-only", ": set mqtt.spool.folder to where this user may write"),
)


def _is_full(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "full" in str(error)
