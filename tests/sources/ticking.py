"""A clock that tests set, and units as a reader would hand them on."""

from __future__ import annotations

import av

from framelane.sources.interfaces.units import Unit
from framelane.sources.timing.arrival_clock import Arrival

UNIX_S = 1_700_000_000.0


class TickingClock:
    """Monotonic time starts at 100 s; the wall clock goes along."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return UNIX_S + self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds


def unit(pts: int, at_s: float, *, key: bool = False, disposable: bool = False) -> Unit:
    """A unit that arrived at this monotonic time."""
    packet = av.Packet(b"picture")
    packet.pts = pts
    return Unit(packet, key, disposable, Arrival(at_s, UNIX_S + at_s, "receive"))
