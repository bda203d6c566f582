"""Finds out which options a broker accepts on connecting: a retained Last Will with QoS 1, or less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from framelane.sinks.mqtt.errors import CUT_OFF, BrokerError
from framelane.sinks.mqtt.inflight import Ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.sinks.mqtt.connection import BrokerConnection

log = structlog.get_logger(__name__)

# MQTT 5, section 3.2.2.2.
_RETAIN_UNSUPPORTED, _QOS_UNSUPPORTED = 154, 155
# After this long, the next connection requests everything again.
_REQUEST_ALL_S = 600.0
_NO_WILL = "the broker accepts no Last Will: consumers are not told when this node is lost"


class Negotiation:
    """Requests less after each refusal until the broker accepts, and verifies that this was the reason.

    With MQTT 5, a broker says what it refuses. With 3.1.1, it closes the connection without a word. Starting
    brokers do the same, and so do proxies whose broker is down. So each attempt requests less, and the
    accepted options count only if the broker then refuses the full set once more.

    Args:
        dial: makes a connection with the given options, not yet open.
        clock: for the time of the next full request.
        retain: whether anything may be retained at all.
        will: whether there is a Last Will; without one, there is nothing that a broker could refuse.
    """

    def __init__(
        self, dial: Callable[[Ask], BrokerConnection], clock: Clock, *, retain: bool, will: bool
    ) -> None:
        self._dial = dial
        self._clock = clock
        whole = Ask(retain=retain, will=will)
        less = [whole._replace(retain=False), whole._replace(most_qos=0), Ask(retain=False, most_qos=0)]
        self._options = list(dict.fromkeys([whole, *less, whole._replace(will=False)] if will else [whole]))
        self._ask = whole
        self._settled_s: float | None = None
        """Monotonic time at which the broker was known to accept no more; None while that is unknown."""
        self._connection: BrokerConnection | None = None

    @property
    def requesting_less(self) -> bool:
        """Whether the next attempt requests less than the previous one."""
        return self._ask != self._options[0] and self._settled_s is None

    def connect(self) -> BrokerConnection:
        """Open a connection.

        Raises:
            BrokerError: The broker can't be reached, or refuses; the next attempt may request less.
        """
        now_s = self._clock.monotonic()
        if self._settled_s is not None and now_s - self._settled_s > _REQUEST_ALL_S:
            self._ask, self._settled_s = self._options[0], None
        connection = self._open()
        if self._settled_s is not None or self._ask == self._options[0]:
            return connection
        connection.close(clean=True)
        return self._confirmed()

    def close(self) -> None:
        """Close the last connection without a DISCONNECT."""
        if self._connection is not None:
            self._connection.close(clean=False)

    def _confirmed(self) -> BrokerConnection:
        """Open a connection with the most options that the broker accepts, now that it has accepted some."""
        for ask in self._options[: self._options.index(self._ask)]:
            try:
                connection = self._open_with(ask)
            except BrokerError as error:
                self.close()
                if error.reason != CUT_OFF:
                    raise
            else:
                self._ask = ask
                if ask != self._options[0]:
                    self._settled_s = self._clock.monotonic()
                return connection
        self._settled_s = self._clock.monotonic()
        if self._options[0].will and not self._ask.will:
            log.warning("mqtt_limited", text=_NO_WILL)
        return self._open()

    def _open(self) -> BrokerConnection:
        """Open a connection. If the broker says what it refuses, retry without that at once."""
        while True:
            try:
                return self._open_with(self._ask)
            except BrokerError as error:
                self.close()
                if not self._told(error):
                    if error.reason == CUT_OFF:
                        self._ask_for_less()
                    raise

    def _open_with(self, ask: Ask) -> BrokerConnection:
        self._connection = self._dial(ask)
        self._connection.open()
        return self._connection

    def _told(self, error: BrokerError) -> bool:
        """Drop what the broker says it refuses; return False if we did not request that."""
        if error.code == _RETAIN_UNSUPPORTED and self._ask.retain:
            self._ask = self._ask._replace(retain=False)
        elif error.code == _QOS_UNSUPPORTED and self._ask.most_qos:
            self._ask = self._ask._replace(most_qos=0)
        else:
            return False
        self._settled_s = self._clock.monotonic()
        return True

    def _ask_for_less(self) -> None:
        """Request the next smaller set of options.

        Start over after the last one, or after one that was accepted once.
        """
        again = self._settled_s is not None or self._ask not in self._options
        self._settled_s = None
        self._ask = self._options[0 if again else (self._options.index(self._ask) + 1) % len(self._options)]
