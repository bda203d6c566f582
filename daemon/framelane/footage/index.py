"""Finds the files of an event, whichever process has written them."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from framelane.footage import shelf
from framelane.footage.shelf import NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_RECENT_NS = 2_000_000_000
"""A folder that changed so recently may change again without another time stamp."""
_AGAIN_S = 0.1
"""Least seconds between two looks at the folders."""


class _Folder(NamedTuple):
    """What was in a stream's folder of a day."""

    changed_ns: int
    looked_ns: int
    events: frozenset[str]


class MediaIndex:
    """Which events have files where. Thread-safe. Reads only folders that have changed.

    Args:
        folder: the folder of snapshots and clips.
        monotonic: returns seconds.
    """

    def __init__(self, folder: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._folders: dict[Path, _Folder] = {}
        self._looked_s = float("-inf")

    def find(self, event: str, suffix: str) -> Path | None:
        """Return a file of an event, given by the event's id; None if there is none."""
        found = self._known(event, suffix)
        if found is None and self.refresh():
            found = self._known(event, suffix)
        return found

    def refresh(self) -> bool:
        """Look for changes unless that was done just now; return whether it was done."""
        with self._lock:
            now_s = self._monotonic()
            if now_s - self._looked_s < _AGAIN_S:
                return False
            self._looked_s = now_s
            before, after = self._folders, {}
            for day in shelf.days(self._folder):
                for stream in shelf.streams(day):
                    with suppress(FileNotFoundError):
                        after[stream] = _looked_at(stream, before.get(stream))
            self._folders = after
            return True

    def _known(self, event: str, suffix: str) -> Path | None:
        for folder, seen in reversed(self._folders.items()):
            if event in seen.events:
                path = folder / f"{event}.{suffix}"
                # It may have been deleted, or the event has files of other kinds only.
                return path if path.is_file() else None
        return None


def _looked_at(folder: Path, before: _Folder | None) -> _Folder:
    now_ns, changed_ns = time.time_ns(), folder.stat().st_mtime_ns
    settled = before is not None and before.looked_ns - before.changed_ns > _RECENT_NS
    if before is not None and settled and before.changed_ns == changed_ns:
        return before
    names = (NAME.fullmatch(each.name) for each in folder.iterdir())
    return _Folder(changed_ns, now_ns, frozenset(found[1] for found in names if found is not None))
