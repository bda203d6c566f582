"""Shows a stream's access units to its watchers; costs one comparison per unit while there are none."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.sources.interfaces.units import Unit

    UnitWatcher = Callable[["UnitOrigin", Unit], None]


@dataclass(frozen=True, slots=True, eq=False)
class UnitOrigin:
    """One connection, the origin of units. Two are never equal.

    Attributes:
        codec: FFmpeg's name.
    """

    codec: str


class UnitTap:
    """Where a stream's access units can be seen. It outlasts connections."""

    __slots__ = ("_lock", "_watchers", "unit")

    def __init__(self) -> None:
        self.unit: UnitWatcher | None = None
        """Called with each live unit that has been read, on the thread that reads; must return at once.

        None while nobody watches.
        """
        self._lock = threading.Lock()
        self._watchers: tuple[UnitWatcher, ...] = ()

    def watch(self, watcher: UnitWatcher) -> None:
        """Show units to this watcher too; a second call changes nothing. Thread-safe."""
        with self._lock:
            if watcher not in self._watchers:
                self._set((*self._watchers, watcher))

    def unwatch(self, watcher: UnitWatcher) -> None:
        """Stop showing units to a watcher; one that is under way may still come. Thread-safe."""
        with self._lock:
            self._set(tuple(each for each in self._watchers if each != watcher))

    def _set(self, watchers: tuple[UnitWatcher, ...]) -> None:
        self._watchers = watchers
        if not watchers:
            self.unit = None
        elif len(watchers) == 1:
            self.unit = watchers[0]
        else:
            self.unit = self._show_all

    def _show_all(self, origin: UnitOrigin, unit: Unit) -> None:
        for watcher in self._watchers:
            watcher(origin, unit)
