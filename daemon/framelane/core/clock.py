"""Clocks that components take as an argument, so that tests need no sleep."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The source of time for a component."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    def wall(self) -> float:
        """Return Unix time in seconds."""
        ...


class SystemClock:
    """The host's clocks."""

    # The functions themselves: threads that read cameras call them several times per picture.
    monotonic = staticmethod(time.monotonic)
    """Seconds since an arbitrary start."""
    wall = staticmethod(time.time)
    """Unix time in seconds."""
