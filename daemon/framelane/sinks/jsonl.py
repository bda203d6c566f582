"""The JSON lines sink: messages to a file, or to standard output."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections import deque
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from framelane.core.worker import Worker
from framelane.sinks.message import json_payload
from framelane.sinks.outage import Outage
from framelane.sinks.sink import SinkHealth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.config.schema import JsonlConfig
    from framelane.core.clock import Clock
    from framelane.sinks.message import Message

log = structlog.get_logger(__name__)

_GATHER_S = (
    0.1  # between two writes, so that 4,000 results a second are 10 system calls and a kill loses little
)
_RETRY_S = 1.0
_LAST_S = 0.2  # even a stop without any time to drain gets this much
_MOST_AT_ONCE = 1000


class JsonlSink:
    """Writes one message a line; a full disk costs the oldest lines that wait, and nothing else.

    Args:
        config: the `jsonl` section.
        clock: for the log.
        retry_s: seconds between tries while the file can't be written.
        shared: whether other processes write to the same file, so that each must lock it for its lines.
    """

    def __init__(
        self, config: JsonlConfig, clock: Clock, retry_s: float = _RETRY_S, *, shared: bool = False
    ) -> None:
        self._config = config
        self._kinds = frozenset(config.kinds)
        file = _File(config.path, shared=shared)
        self._writer = _Writer(_Lines(config.queue), file, Outage("jsonl", clock), retry_s)

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    def offer(self, message: Message) -> None:
        """Take a message, if its kind is wanted and it says anything; when `queue` lines wait, the oldest goes."""
        if message.kind in self._kinds and message.payload:
            self._writer.lines.put(json_payload(message))

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        """Write what waits within `drain_s`, and the farewell, if its kind is wanted."""
        if farewell is not None:
            self.offer(farewell)
        self._writer.stop(max(drain_s, _LAST_S))
        left = self._writer.lines.abandon()
        if left:
            log.warning(
                "jsonl_unwritten", path=self._config.path, messages=left, error=self._writer.outage.text
            )

    def health(self) -> SinkHealth:
        """How it fares now."""
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
    """The lines that wait: bounded, the oldest go first, counted."""

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
        """Put lines that were taken to the front again, as far as there is room."""
        with self._lock:
            room = max(self._capacity - len(self._waiting), 0)
            kept = lines[len(lines) - min(room, len(lines)) :]
            self.dropped += len(lines) - len(kept)
            self._waiting.extendleft(reversed(kept))

    def abandon(self) -> int:
        """Give up all that waits; returns how many."""
        left = len(self.take(len(self._waiting)))
        self.dropped += left
        return left


class _File:
    """A file that is appended to, and opened again when it was rotated away; `-` is standard output."""

    def __init__(self, path: str, *, shared: bool) -> None:
        self.path = path
        self._shared = shared
        self._stdout = path == "-"
        self._descriptor: int | None = None
        self._torn = False

    def append(self, lines: list[bytes]) -> int:
        """Write lines; returns how many were written whole, fewer than given if the disk filled up.

        Raises:
            OSError: Not one byte could be written.
        """
        descriptor = self._opened()
        block = b"\n".join(lines) + b"\n"
        with _alone(descriptor) if self._shared else nullcontext():
            self._torn = self._found_torn(descriptor) if self._shared else self._torn
            if self._torn:  # the piece of a line that was left when the disk filled up is no JSON; end it
                block = b"\n" + block
            size = os.write(descriptor, block)
        written = block[:size]
        whole = written.count(b"\n") - self._torn
        self._torn = not written.endswith(b"\n")
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
        """Whether another process was killed, or had no room, in the middle of a line.

        On the descriptor itself: closing any other of the same file would give the lock away (fcntl(2)).
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
        self.stopping.wait(_GATHER_S)

    def failed(self, error: Exception) -> float:
        said = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
        self.outage.failed("disk", f"can't write {self._file.path}: {said}; lines wait, and the oldest go")
        self._file.close()
        self.lines.news.set()
        return self._retry_s

    def ended(self) -> None:
        """Write what is left; no other try, should it fail."""
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
            self.outage.over()


@contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Keep the other processes that share the file out: a pipe takes what exceeds 4 KiB in pieces.

    A lock of POSIX, which is a process's own; flock() is the open file's, and standard output is one for all.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system or device without locks; appending is whole on what is a file
        yield
        return
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _is_special(path: Path) -> bool:
    """Whether it is a pipe or device, which must not be opened for reading too."""
    return path.exists() and not path.is_file()


def _ends_within_a_line(path: Path) -> bool:
    """Whether who wrote the file before us was killed, or had no room, in the middle of a line."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
