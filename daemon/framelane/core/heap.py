"""Returns free memory that the C library keeps to the system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.core.libc import malloc_trim

if TYPE_CHECKING:
    from collections.abc import Callable


class Heap:
    """Trims the heap after cameras have reconnected.

    Replacing a decoder leaves holes between the allocations of others, and a thread's heap arena never
    shrinks by itself. Without reconnects nothing is trimmed, since it would only have to be allocated again.
    """

    def __init__(self, trim: Callable[[], None] = malloc_trim) -> None:
        self._trim = trim
        self._connections = 0

    def note(self, connections: int) -> None:
        """Trim if the total number of reconnects has changed; call it every few seconds."""
        if connections != self._connections:
            self._connections = connections
            self._trim()
