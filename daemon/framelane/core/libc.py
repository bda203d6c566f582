"""C library functions that Python doesn't provide; each does nothing if the library lacks it."""

from __future__ import annotations

import ctypes

_LIBRARY = ctypes.CDLL(None)


def prctl(option: int, argument: int | bytes) -> None:
    """Set an attribute of this thread or process (prctl(2)); Linux only."""
    function = getattr(_LIBRARY, "prctl", None)
    if function is not None:
        function(option, argument, 0, 0, 0)


def malloc_trim() -> None:
    """Return whole free pages to the system, within a few milliseconds (malloc_trim(3)); glibc only."""
    function = getattr(_LIBRARY, "malloc_trim", None)
    if function is not None:
        function(0)
