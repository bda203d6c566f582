from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live.coded import recording, unit_of

from framelane.sources.interfaces.tap import UnitOrigin, UnitTap

if TYPE_CHECKING:
    from framelane.sources.interfaces.units import Unit

MADE = recording("h264", 2)
UNIT, ORIGIN = unit_of(MADE.units[0], MADE.extradata), UnitOrigin("h264")


class Watcher:
    """Counts what it sees."""

    def __init__(self) -> None:
        self.seen = 0

    def see(self, origin: UnitOrigin, unit: Unit) -> None:
        assert (origin, unit) == (ORIGIN, UNIT)
        self.seen += 1


def test_each_watcher_sees_units_until_it_leaves_and_nobody_costs_a_call() -> None:
    tap, first, second = UnitTap(), Watcher(), Watcher()
    assert tap.unit is None
    for watchers in ((first,), (first, second), (first, second), (second,), ()):
        for each in (first, second):
            (tap.watch if each in watchers else tap.unwatch)(each.see)
        if watchers:
            assert tap.unit is not None
            tap.unit(ORIGIN, UNIT)
    assert (first.seen, second.seen) == (3, 3)
    assert tap.unit is None


def test_one_that_watches_twice_sees_each_unit_once() -> None:
    tap, watcher = UnitTap(), Watcher()
    tap.watch(watcher.see)
    tap.watch(watcher.see)
    assert tap.unit is not None
    tap.unit(ORIGIN, UNIT)
    assert watcher.seen == 1
