"""Functions of the C library that Python has no call for; where it lacks one, nothing happens."""

from __future__ import annotations

import ctypes

_LIBRARY = ctypes.CDLL(None)


def prctl(option: int, argument: int | bytes) -> None:
    """Change something of this thread or process (prctl(2)); Linux alone."""
    function = getattr(_LIBRARY, "prctl", None)
    if function is not None:
        function(option, argument, 0, 0, 0)


def malloc_trim() -> None:
    """Hand free memory back to the system, whole pages, within a few milliseconds (malloc_trim(3)); glibc alone."""
    function = getattr(_LIBRARY, "malloc_trim", None)
    if function is not None:
        function(0)
