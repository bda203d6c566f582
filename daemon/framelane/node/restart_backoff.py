"""Delays the starts of a service that keeps failing; a single failure causes no delay.

systemd's own RestartSteps= requires version 254 and never goes back to the first step (systemd issue 43813):
a daemon that fails once a month would wait for the longest time. So the daemon counts its starts itself.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FILE = "starts.json"
_PROVEN_S = 60.0
"""A run of at least this long is not a quick failure."""
_AT_ONCE = 2
"""This many quick failures in a row cause no delay."""
_MOST_S = 60.0


def since_boot_s() -> float:
    """Return seconds since boot, including time suspended; the same clock for all processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class RestartBackoff:
    """Counts a unit's starts in its RuntimeDirectory=, which systemd keeps over restarts only.

    Args:
        folder: the runtime directory; None if there is none, which disables delays.
        now_s: returns the seconds since boot.
    """

    def __init__(self, folder: Path | None, now_s: Callable[[], float] = since_boot_s) -> None:
        self._file = None if folder is None else folder / _FILE
        self._now_s = now_s

    @staticmethod
    def of(environ: Mapping[str, str]) -> RestartBackoff:
        """Return the backoff of the unit that started this process; without delays if it is no service."""
        folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        return RestartBackoff(Path(folder) if folder and environ.get("NOTIFY_SOCKET") else None)

    def begin(self) -> float:
        """Note a start; return the seconds to wait before doing anything."""
        if self._file is None:
            return 0.0
        now_s = self._now_s()
        quick = self._quick_failures(now_s)
        wait_s = 0.0 if quick < _AT_ONCE else min(2.0 ** (quick - _AT_ONCE + 1), _MOST_S)
        self._write(at_s=now_s + wait_s, quick=quick)
        return wait_s

    def end(self) -> None:
        """Forget all failures, because the process ends normally."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)

    def _quick_failures(self, now_s: float) -> int:
        """Return how many starts in a row have failed quickly."""
        try:
            saved = orjson.loads(b"" if self._file is None else self._file.read_bytes())
            at_s, quick = float(saved["at_s"]), int(saved["quick"])
        # There is no file, or it is incomplete.
        except (OSError, ValueError, LookupError, TypeError):
            return 0
        return quick + 1 if now_s - at_s < _PROVEN_S else 0

    def _write(self, **saved: float) -> None:
        if self._file is None:
            return
        fresh = self._file.with_suffix(".new")
        # If writing fails, the next start does not wait.
        with contextlib.suppress(OSError):
            fresh.write_bytes(orjson.dumps(saved))
            fresh.replace(self._file)
