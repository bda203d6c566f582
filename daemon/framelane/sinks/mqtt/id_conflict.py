"""Detects another client with our client id, and keeps the two from disconnecting each other all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.core.backoff import Backoff

if TYPE_CHECKING:
    from framelane.core.clock import Clock

_FIRST_S = 3.0
# Waits of this length before they grow.
_STEADY = 10
_MOST_S = 60.0
# A connection that lives this long has no competitor.
_LONG_S = 2 * _MOST_S
# Times the last wait. A competitor that waits as we do would have come back by then.
_CALM_SHARE = 1.5
_STRIKES = 3
_REMEDY = "give each node its own node.id, or set mqtt.client_id"


class ClientIdConflict:
    """Two clients with one id end each other's connection, forever if both retry at once.

    A broker may report this (MQTT 5, reason code 142). mosquitto 2.0 does not, and in 3.1.1 none can. So a
    few connections in a row count as well that are made without trouble and soon lost, whatever we send. From
    then on, waits are longer, so that each client delivers part of the time. They grow if the conflict lasts.

    This node never gives up, because the other client may be an old process of the same node that is about to
    end. Once a connection outlives the other client's likely wait, the conflict is no longer reported, but
    the next loss counts with the others.

    Args:
        broker: its URL without credentials, for the message.
        client_id: ours, for the message.
        clock: measures how long connections live.
    """

    def __init__(self, broker: str, client_id: str, clock: Clock) -> None:
        self._broker = broker
        self._client_id = client_id
        self._clock = clock
        self._steady = Backoff(_FIRST_S, _FIRST_S)
        self._growing = Backoff(_FIRST_S, _MOST_S)
        self._waits = 0
        self._calm_s = _CALM_SHARE * _FIRST_S
        self._strikes = 0
        self._sure = False
        self._began_s: float | None = None

    @property
    def suspected(self) -> bool:
        """Whether another client seems to use our id, or did recently."""
        return self._strikes >= _STRIKES

    @property
    def text(self) -> str:
        """The message while there is no connection."""
        if self._sure:
            return f"{self._broker}: another client uses the id {self._client_id!r} too: {_REMEDY}"
        return (
            f"{self._broker}: another client seems to use the id {self._client_id!r} too, because one connection after "
            f"another is soon lost: {_REMEDY}; if there is no other client, the broker's log says why it disconnects"
        )

    @property
    def past_text(self) -> str:
        """The message while a connection is still young; empty without a conflict."""
        if not self.suspected:
            return ""
        used = "used" if self._sure else "seems to have used"
        return f"{self._broker}: another client {used} the id {self._client_id!r} too: {_REMEDY}"

    @property
    def calm(self) -> bool:
        """Whether the connection has lived so long that the other client seems to be gone."""
        return self._lived_s() >= self._calm_s

    def began(self) -> None:
        """Note that a connection was made."""
        self._began_s = self._clock.monotonic()

    def ended(self, reason: str) -> None:
        """Note that a connection ended or could not be made; `reason` is a BrokerError's."""
        if self._lived_s() >= _LONG_S:
            self._clear()
        if reason == "taken_over":
            self._sure = True
            self._strikes = max(self._strikes + 1, _STRIKES)
        elif reason == "lost" and self._began_s is not None:
            self._strikes += self._lived_s() < _LONG_S
        else:
            # An unreachable broker, or one that refuses us, is another matter.
            self._clear()
        self._began_s = None

    def wait_s(self) -> float:
        """Return the seconds before the next attempt while a conflict is suspected."""
        self._waits += 1
        wait_s = (self._steady if self._waits <= _STEADY else self._growing).next_s()
        self._calm_s = _CALM_SHARE * max(wait_s, _FIRST_S)
        return wait_s

    def _lived_s(self) -> float:
        return 0.0 if self._began_s is None else self._clock.monotonic() - self._began_s

    def _clear(self) -> None:
        self._strikes = self._waits = 0
        self._sure = False
        self._growing.reset()
