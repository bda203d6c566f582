"""The file in which all processes that write to one folder count its bytes and what was deleted."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEDGER = ".ledger"
_MOST_BYTES = 4096


@dataclass(slots=True)
class Ledger:
    """What a folder holds.

    Attributes:
        used: bytes on disk.
        deleted: files deleted so far, by reason.
        unsent: how many of them should have been uploaded before.
    """

    used: int = 0
    deleted: dict[str, int] = field(default_factory=dict)
    unsent: int = 0

    def count(self, reason: str, size: int) -> None:
        """Count a deleted file."""
        self.used = max(self.used - size, 0)
        self.deleted[reason] = self.deleted.get(reason, 0) + 1


@contextmanager
def locked(folder: Path) -> Iterator[Ledger]:
    """Lend the ledger of a folder, which must exist, to one thread of one process at a time.

    A ledger that was cut off or is not ours counts from 0; the next count of the files corrects it.

    Raises:
        OSError: it can't be opened or written.
    """
    descriptor = os.open(folder / LEDGER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        ledger = _parsed(os.pread(descriptor, _MOST_BYTES, 0))
        try:
            yield ledger
        finally:
            _write(descriptor, ledger)
    finally:
        os.close(descriptor)


def read(folder: Path) -> Ledger:
    """Return the ledger as it is now; an empty one if there is none."""
    try:
        return _parsed((folder / LEDGER).read_bytes()[:_MOST_BYTES])
    except OSError:
        return Ledger()


def _parsed(data: bytes) -> Ledger:
    with suppress(ValueError, TypeError, AttributeError, KeyError):
        found = json.loads(data)
        deleted = {str(reason): int(count) for reason, count in found["deleted"].items()}
        return Ledger(int(found["used"]), deleted, int(found.get("unsent", 0)))
    return Ledger()


def _write(descriptor: int, ledger: Ledger) -> None:
    # Padded, so that a shorter text leaves nothing of a longer one, and a full disk has room for it: the file
    # has its final size from the first write on.
    text = json.dumps({"used": ledger.used, "deleted": ledger.deleted, "unsent": ledger.unsent}).encode()
    os.pwrite(descriptor, text.ljust(_MOST_BYTES), 0)
