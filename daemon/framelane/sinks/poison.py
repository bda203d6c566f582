"""Finds the one message over which a broker hangs up each time, which would hold all others up for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.sinks.outbox import Parcel

_STRIKES = 3


class Poison:
    """Told how connections end. Guilty is who was alone in flight, again and again, when one that worked was lost.

    A broker with a limit that it did not announce, as none can in MQTT 3.1.1, closes the connection of who sends a
    larger packet. What was in flight comes again, in order, on the next connection.
    """

    def __init__(self) -> None:
        self._works = False
        self._suspect = b""
        self._strikes = 0

    def began(self) -> None:
        """A connection was made."""
        self._works = False

    def settled(self, parcel: Parcel) -> None:
        """The broker has acknowledged something: it is well, and reads what we send."""
        if parcel.message.retain or parcel.entry is not None:
            self._works = True

    def lost(self, in_flight: Sequence[Parcel]) -> Parcel | None:
        """A connection was lost with these unacknowledged; returns the one that is not to be sent again, if any."""
        if not self._works or len(in_flight) != 1 or in_flight[0].entry is None:
            return None
        payload = in_flight[0].message.payload
        if payload != self._suspect:
            self._suspect, self._strikes = payload, 0
        self._strikes += 1
        return in_flight[0] if self._strikes >= _STRIKES else None
