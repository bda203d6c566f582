"""Hands a camera's units to the hub's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.sources.interfaces.tap import UnitOrigin
    from framelane.sources.interfaces.units import Unit


class UnitRelay:
    """Queues units of one video, on the thread that reads it. One for which there is no room is lost.

    Args:
        post: queues a function for the hub's thread; returns whether there was room.
        take: takes a unit, on the hub's thread.
    """

    def __init__(
        self, post: Callable[[Callable[[], None]], bool], take: Callable[[UnitOrigin, Unit], None]
    ) -> None:
        self._post = post
        self._take = take
        self._lost = False

    def put(self, origin: UnitOrigin, unit: Unit) -> None:
        """Queue a unit; returns at once."""
        if self._lost:
            # What follows a lost unit may need it.
            unit = unit._replace(whole=False)
        self._lost = not self._post(lambda: self._take(origin, unit))
