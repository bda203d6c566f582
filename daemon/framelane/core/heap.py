"""Memory that is free and that the C library keeps: handed back to the system after what leaves holes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.core.libc import malloc_trim

if TYPE_CHECKING:
    from collections.abc import Callable


class Heap:
    """Hands memory back when cameras have connected anew.

    A decoder that goes and the one that comes leave holes between what others hold, and a thread's part of the heap
    never shrinks by itself. Where nothing comes and goes, nothing is handed back that would have to be fetched again.
    """

    def __init__(self, give_back: Callable[[], None] = malloc_trim) -> None:
        self._give_back = give_back
        self._connections = 0

    def note(self, connections: int) -> None:
        """So many times cameras have connected anew until now; to be told every few seconds."""
        if connections != self._connections:
            self._connections = connections
            self._give_back()
