"""The JSON lines sink: writes messages to a file or to standard output."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections import deque
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from framelane.core.outage import Outage
from framelane.core.worker import Worker
from framelane.messages.detections import json_payload
from framelane.telemetry.sink_health import SinkHealth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.config.sections.jsonl import JsonlConfig
    from framelane.core.clock import Clock
    from framelane.messages.detections import Message
    from framelane.sinks.table import SinkContext

log = structlog.get_logger(__name__)

# Between two writes, so that 4,000 results per second need 10 system calls and a kill loses little.
_COLLECT_S = 0.1
_RETRY_S = 1.0
# A stop without any time to drain still gets this much.
_LAST_S = 0.2
_MOST_AT_ONCE = 1000


class JsonlSink:
    """Writes one message per line. A full disk costs only the oldest waiting lines.

    Args:
        config: the `jsonl` section.
        clock: for the log.
        retry_s: seconds between attempts while the file can't be written.
        shared: whether other processes write to the same file, so that each must lock it for its lines.
    """

    def __init__(
        self, config: JsonlConfig, clock: Clock, retry_s: float = _RETRY_S, *, shared: bool = False
    ) -> None:
        self._config = config
        self._kinds = frozenset(config.kinds)
        file = _File(config.path, shared=shared)
        self._writer = _Writer(_Lines(config.queue), file, Outage("sink", clock, sink="jsonl"), retry_s)

    def start(self) -> None:
        """Start writing."""
        self._writer.start()

    def offer(self, message: Message) -> None:
        """Queue a message if its kind is wanted and it has content.

        If `queue` lines wait, drop the oldest.
        """
        if message.kind in self._kinds and message.payload:
            self._writer.lines.put(json_payload(message))

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        """Write what waits within `drain_s`, then the farewell if its kind is wanted."""
        if farewell is not None:
            self.offer(farewell)
        self._writer.stop(max(drain_s, _LAST_S))
        left = self._writer.lines.abandon()
        if left:
            log.warning(
                "jsonl_unwritten", path=self._config.path, messages=left, error=self._writer.outage.text
            )

    def health(self) -> SinkHealth:
        """Return the sink's current health."""
        lines = self._writer.lines
        return SinkHealth(
            name="jsonl",
            connected=self._writer.outage.text is None,
            queued=len(lines),
            delivered=lines.written,
            dropped=lines.dropped,
            last_error=self._writer.outage.text,
            full=len(lines) >= self._config.queue,
            dropped_by={"queue": lines.dropped},
        )


class _Lines:
    """A bounded queue of lines; the oldest are dropped first and counted."""

    def __init__(self, capacity: int) -> None:
        self.news = threading.Event()
        self.dropped = 0
        self.written = 0
        self._capacity = capacity
        self._waiting: deque[bytes] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, line: bytes) -> None:
        with self._lock:
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(line)
        self.news.set()

    def take(self, most: int) -> list[bytes]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def give_back(self, lines: list[bytes]) -> None:
        """Return taken lines to the front of the queue, as far as there is room."""
        with self._lock:
            room = max(self._capacity - len(self._waiting), 0)
            kept = lines[len(lines) - min(room, len(lines)) :]
            self.dropped += len(lines) - len(kept)
            self._waiting.extendleft(reversed(kept))

    def abandon(self) -> int:
        """Drop all waiting lines and return their count."""
        left = len(self.take(len(self._waiting)))
        self.dropped += left
        return left


class _File:
    """A file that is appended to and reopened after rotation; `-` is standard output."""

    def __init__(self, path: str, *, shared: bool) -> None:
        self.path = path
        self._shared = shared
        self._stdout = path == "-"
        self._descriptor: int | None = None
        self._torn = False

    def append(self, lines: list[bytes]) -> int:
        """Write lines and return how many were written completely; fewer than given if the disk filled up.

        Raises:
            OSError: Not one byte could be written.
        """
        descriptor = self._opened()
        block = b"\n".join(lines) + b"\n"
        with _alone(descriptor) if self._shared else nullcontext():
            self._torn = self._found_torn(descriptor) if self._shared else self._torn
            # Another process left part of a line, which is not valid JSON; end it.
            if self._torn:
                block = b"\n" + block
            written = block[: os.write(descriptor, block)]
            piece = len(written) - written.rfind(b"\n") - 1
            whole = written.count(b"\n") - self._torn
            self._torn = piece > 0 and not _taken_back(descriptor, piece)
        return whole

    def close(self) -> None:
        if self._descriptor is not None and not self._stdout:
            os.close(self._descriptor)
        self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is not None and not self._stdout and self._moved(self._descriptor):
            self.close()
        if self._descriptor is None:
            access = os.O_RDWR if self._shared and not _is_special(Path(self.path)) else os.O_WRONLY
            flags = access | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = 1 if self._stdout else os.open(self.path, flags, 0o644)
            self._torn = not self._stdout and not self._shared and _ends_within_a_line(Path(self.path))
        return self._descriptor

    def _found_torn(self, descriptor: int) -> bool:
        """Return whether another process was killed, or had no room, in the middle of a line.

        This reads through the given descriptor: closing another one of the same file would release the lock
        (fcntl(2)).
        """
        status = os.fstat(descriptor)
        if self._stdout or not stat.S_ISREG(status.st_mode):
            return self._torn
        return status.st_size > 0 and os.pread(descriptor, 1, status.st_size - 1) != b"\n"

    def _moved(self, descriptor: int) -> bool:
        try:
            there = Path(self.path).stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(descriptor))


class _Writer(Worker):
    """The sink's thread."""

    def __init__(self, lines: _Lines, file: _File, outage: Outage, retry_s: float) -> None:
        super().__init__("jsonl")
        self.lines = lines
        self.outage = outage
        self._file = file
        self._retry_s = retry_s

    def wake(self) -> None:
        self.lines.news.set()

    def run_once(self) -> None:
        self.lines.news.wait()
        self.lines.news.clear()
        self._write_all()
        self.stopping.wait(_COLLECT_S)

    def failed(self, error: Exception) -> float:
        said = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
        self.outage.failed(
            "disk", f"can't write {self._file.path}: {said}; lines wait, and the oldest are dropped"
        )
        self._file.close()
        self.lines.news.set()
        return self._retry_s

    def ended(self) -> None:
        """Write what is left, in a single attempt."""
        try:
            self._write_all()
        except OSError as error:
            self.failed(error)
        finally:
            self._file.close()

    def _write_all(self) -> None:
        while lines := self.lines.take(_MOST_AT_ONCE):
            done = 0
            try:
                done = self._file.append(lines)
            finally:
                self.lines.written += done
                self.lines.give_back(lines[done:])
            # Part of a line fitted and was removed again.
            if not done:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if done == len(lines):
                self.outage.over()


@contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Lock out other processes that share the file, because a pipe accepts more than 4 KiB in pieces.

    This is a POSIX lock, which belongs to a process. A flock() belongs to the open file, and all processes
    share one open standard output.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    except OSError:
        # A file system or device without locks. Appending to a regular file is atomic anyway.
        yield
        return
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _taken_back(descriptor: int, piece: int) -> bool:
    """Remove the part of a line that was written before the disk was full; return False if impossible."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size != os.lseek(descriptor, 0, os.SEEK_CUR):
        # A pipe, or another process has written after us.
        return False
    try:
        os.ftruncate(descriptor, status.st_size - piece)
        # Standard output need not be in append mode.
        os.lseek(descriptor, -piece, os.SEEK_CUR)
    except OSError:
        return False
    return True


def _is_special(path: Path) -> bool:
    """Return whether the path is a pipe or device, which must not be opened for reading too."""
    return path.exists() and not path.is_file()


def _ends_within_a_line(path: Path) -> bool:
    """Return whether an earlier writer of the file was killed, or had no room, in the middle of a line."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def make(config: JsonlConfig, context: SinkContext) -> JsonlSink:
    """See framelane.sinks.table."""
    return JsonlSink(config, context.clock, shared=context.shared)
