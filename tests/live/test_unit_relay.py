"""Units on their way to the hub's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framelane.live.unit_relay import UnitRelay
from framelane.sources.interfaces.units import Unit

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGIN: Any = object()


def test_unit_after_a_lost_one_is_not_whole() -> None:
    waiting: list[Callable[[], None]] = []
    taken: list[Unit] = []
    room = True

    def post(work: Callable[[], None]) -> bool:
        if room:
            waiting.append(work)
        return room

    packet: Any = object()
    unit = Unit(packet, key=False, disposable=False, arrival=None, whole=True)
    relay = UnitRelay(post, lambda _origin, each: taken.append(each))
    for has_room in (True, False, False, True, True):
        room = has_room
        relay.put(ORIGIN, unit)
    for work in waiting:
        work()
    assert [each.whole for each in taken] == [True, False, True]
