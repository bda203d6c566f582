"""Notices that another client uses our id at the broker, and keeps the two from fighting over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.core.backoff import Backoff

if TYPE_CHECKING:
    from framelane.core.clock import Clock

_FIRST_S = 5.0
_MOST_S = 60.0
_LONG_S = 2 * _MOST_S  # a connection that lives so long has no rival
_STRIKES = 3


class Rivalry:
    """Of two clients with one id each ends the other's connection, for ever if both try again at once.

    A broker may say so (MQTT 5, reason code 142); mosquitto 2.0 does not, and in 3.1.1 none can. So what counts as
    well is connections made without trouble and lost again soon, a few in a row. From there on waits grow much
    longer, so that each of the two delivers most of the time, and no stream of reconnects goes on between them.
    We never give up: the rival may be an old process of our own node that is just about to end.

    Args:
        broker: its URL without credentials, for the message.
        client_id: ours, likewise.
        clock: for the lives of connections.
    """

    def __init__(self, broker: str, client_id: str, clock: Clock) -> None:
        self._broker = broker
        self._client_id = client_id
        self._clock = clock
        self._backoff = Backoff(_FIRST_S, _MOST_S)
        self._strikes = 0
        self._sure = False
        self._began_s: float | None = None

    @property
    def suspected(self) -> bool:
        """Whether another client seems to use our id."""
        return self._strikes >= _STRIKES

    @property
    def text(self) -> str:
        """What to tell a person."""
        remedy = "give each node its own node.id, or set mqtt.client_id"
        if self._sure:
            return f"{self._broker}: another client uses the id {self._client_id!r} too: {remedy}"
        return (
            f"{self._broker}: another client seems to use the id {self._client_id!r} too, for one connection after "
            f"another is soon lost: {remedy}; if no other does, the broker ends them, and its log says why"
        )

    def began(self) -> None:
        """A connection was made."""
        self._began_s = self._clock.monotonic()

    def outlived(self) -> bool:
        """Whether the connection that stands has lived for so long that there is no rival any more."""
        if self._began_s is None or self._clock.monotonic() - self._began_s < _LONG_S:
            return False
        self._clear()
        return True

    def ended(self, reason: str) -> None:
        """A connection has ended, or could not be made; `reason` is a LinkError's."""
        if reason == "taken_over":
            self._sure = True
            self._strikes = max(self._strikes + 1, _STRIKES)
        elif reason == "lost" and self._began_s is not None and not self.outlived():
            self._strikes += 1
        else:  # a broker that is away or refuses us is another matter
            self._clear()
        self._began_s = None

    def wait_s(self) -> float:
        """Seconds before the next try, while a rival is suspected."""
        return self._backoff.next_s()

    def _clear(self) -> None:
        self._strikes = 0
        self._sure = False
        self._backoff.reset()
