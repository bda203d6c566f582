"""The thread that connects to the broker, delivers the send queue, and reconnects forever."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from framelane.core.outage import Outage
from framelane.core.worker import Worker
from framelane.sinks.mqtt.errors import CUT_OFF, OURS, BrokerError

if TYPE_CHECKING:
    from framelane.core.backoff import Backoff
    from framelane.core.clock import Clock
    from framelane.messages.detections import Message
    from framelane.sinks.mqtt.connection import BrokerConnection
    from framelane.sinks.mqtt.dispatch import Dispatch
    from framelane.sinks.mqtt.id_conflict import ClientIdConflict
    from framelane.sinks.mqtt.negotiation import Negotiation
    from framelane.sinks.mqtt.send_queue import SendQueue
    from framelane.sinks.mqtt.waker import Waker

log = structlog.get_logger(__name__)

# The connection itself checks every second.
_IDLE_S = 60.0
# Silent name servers take a minute, and none of our timeouts applies to them.
_CONNECT_S = 120.0
# For sending, receiving and waking up.
_TURN_S = 10.0
_COLLECT_S = 0.004
"""Minimum time between two sends while the queue runs empty, so that several messages go out together.

Waking this thread for each message costs more than sending it. In a busy process, each wake-up also waits for
the interpreter lock.
"""
# Wait before the next connection once the message at fault is known.
_FOUND_S = 0.25
# A connection that lasts this long did not end over the message that ended the last one.
_SUSPECT_S = 2.0
# Wait before a connection with fewer options.
_REQUEST_LESS_S = 0.25
# Connections that end over the first message before the waits grow.
_MOST_VAIN = 8
# Share of the drain time, at most a second, kept for the farewell.
_FAREWELL_SHARE = 0.25


class BrokerWatcher(Protocol):
    """Called when the broker comes or goes, such as `StatusBoard.broker_changed`."""

    def __call__(self, *, connected: bool, text: str) -> None:
        """Take each change, with a doubt or the reason as text; called on the sender's thread."""
        ...


class Route(NamedTuple):
    """How to reach the broker: its name, the negotiation, the backoff and the id conflict detection."""

    broker: str
    negotiation: Negotiation
    backoff: Backoff
    id_conflict: ClientIdConflict


class Ending(NamedTuple):
    """How a sender ends: monotonic times to stop delivering and to be done, and its last message, if any."""

    drained_s: float
    over_s: float
    farewell: Message | None


class Sender(Worker):
    """Delivers to one broker.

    Args:
        route: how to reach the broker.
        send_queue: the messages to deliver.
        dispatch: sends them.
        waker: wakes this thread for new messages.
        clock: for deadlines.
        watch: called when the broker comes or goes.
    """

    def __init__(
        self,
        route: Route,
        send_queue: SendQueue,
        dispatch: Dispatch,
        waker: Waker,
        clock: Clock,
        watch: BrokerWatcher,
    ) -> None:
        super().__init__("mqtt")
        self.connected = False
        self.outage = Outage("sink", clock, sink="mqtt")
        self._dispatch = dispatch
        self._suspect: str | None = None
        self._suspecting = False
        self._route = route
        self._send_queue = send_queue
        self._waker = waker
        self._clock = clock
        self._watch = watch
        self._watched: tuple[bool, str] | None = None
        self._ending: Ending | None = None
        self._hurry = threading.Event()
        self._sent_s = -_COLLECT_S
        self._over = threading.Event()
        self._expected_s = float("inf")

    @property
    def overdue_s(self) -> float:
        """Seconds that the thread is overdue; 0 unless it hangs.

        An unreachable broker does not count as a hang.
        """
        return max(self._clock.monotonic() - self._expected_s, 0.0) if self.alive else 0.0

    def finish(self, drain_s: float, farewell: Message | None) -> None:
        """Deliver what waits, then the farewell, within `drain_s`.

        An unreachable broker is tried once more.
        """
        now_s = self._clock.monotonic()
        kept_s = min(1.0, drain_s * _FAREWELL_SHARE)
        self._ending = Ending(now_s + drain_s - kept_s, now_s + drain_s, farewell)
        self.wake()
        if self.alive:
            self._over.wait(drain_s)
        self.stop(timeout_s=0.2)

    def wake(self) -> None:
        """Wake the thread from any wait."""
        self._hurry.set()
        self._waker.wake()

    def run_once(self) -> None:
        """Make one connection, and deliver until it ends."""
        self._expect(_CONNECT_S)
        self._suspecting, self._suspect = self._suspect is not None, None
        try:
            connection = self._route.negotiation.connect()
            self._came(connection)
            self._deliver_all(connection)
        finally:
            self._route.negotiation.close()
            self.connected = False
            self._send_queue.rewind()

    def failed(self, error: Exception) -> float:
        """Note why there is no connection, and wait before the next attempt. While stopping, do not retry."""
        reason, text = self._explain(error)
        # The message at fault is in the log already.
        found = self._dispatch.found and self.outage.text is not None
        if not found and self.outage.failed(reason, text) and reason == "failed":
            log.error("worker_failed", worker=self.name, exc_info=error)
        self._tell(connected=False)
        if self._ending is not None:
            self.stopping.set()
            return 0.0
        wait_s = self._wait_s(error)
        self._expect(wait_s + _TURN_S)
        self._hurry.wait(wait_s)
        return 0.0

    def _explain(self, error: Exception) -> tuple[str, str]:
        """Return the actual cause: a message, an id conflict, or what the error says."""
        if not isinstance(error, BrokerError):
            self._route.id_conflict.ended("failed")
            return "failed", str(error) or type(error).__name__
        # It ended over a message, so there is no id conflict.
        if self._suspect is not None:
            said = f"{self._route.broker}: {self._suspect}"
            return error.reason, f"{error} ({self._suspect})" if error.tells or error.code == OURS else said
        self._route.id_conflict.ended(error.reason)
        if self._route.id_conflict.suspected:
            return "taken_over", self._route.id_conflict.text
        # The broker was down, so it will have been restarted when it is back.
        if error.reason == "refused":
            self._dispatch.away()
        return error.reason, str(error)

    def _wait_s(self, error: Exception) -> float:
        if self._suspect is None and self._route.id_conflict.suspected:
            return self._route.id_conflict.wait_s()
        if (
            isinstance(error, BrokerError)
            and error.reason == CUT_OFF
            and self._route.negotiation.requesting_less
        ):
            return _REQUEST_LESS_S
        ended = isinstance(error, BrokerError) and error.over_a_message
        if ended and self._dispatch.vain <= _MOST_VAIN:
            # There was a connection, so the backoff starts again.
            self._route.backoff.reset()
        wait_s = self._route.backoff.next_s()
        return min(wait_s, _FOUND_S) if ended and self._dispatch.found else wait_s

    def _expect(self, within_s: float) -> None:
        self._expected_s = self._clock.monotonic() + within_s

    def ended(self) -> None:
        """Let `finish` return, and close the waker, which wakes only this thread."""
        self._waker.close()
        self._over.set()

    def _came(self, connection: BrokerConnection) -> None:
        self.connected = True
        self._dispatch.began(connection)
        self._route.id_conflict.began()
        log.info("mqtt_connected")
        self._look(connection)

    def _look(self, connection: BrokerConnection) -> None:
        """Report whether all is well. It is not while an id conflict is likely or messages are held back."""
        conflicting = self._route.id_conflict.suspected and not self._route.id_conflict.calm
        if not conflicting and (not self._suspecting or connection.age_s > _SUSPECT_S):
            self.outage.over()
        self._tell(connected=True)

    def _tell(self, *, connected: bool) -> None:
        text = self.outage.text or ""
        if connected:
            conflict = self._route.id_conflict.past_text if text else ""
            text = conflict or self._dispatch.trouble or text
        now = connected, text
        if now != self._watched:
            self._watched = now
            self._watch(connected=connected, text=text)

    def _deliver_all(self, connection: BrokerConnection) -> None:
        try:
            while not self._drained(connection) and not self.stopping.is_set():
                self._deliver(connection)
            self._say_goodbye(connection)
        except BrokerError as error:
            self._suspect = self._dispatch.lost(error, connection)
            raise
        self.stopping.set()

    def _deliver(self, connection: BrokerConnection) -> None:
        """Hand over what there is room for, then wait for acknowledgments or for new messages."""
        # The connection waits a second at most.
        self._expect(_TURN_S)
        if self.outage.text is not None or self._watched != (True, self._dispatch.trouble):
            self._look(connection)
        self._collect()
        sent = self._dispatch.send(connection)
        if sent and connection.room > 0:
            self._sent_s = self._clock.monotonic()
            self._dispatch.settle(connection.poll(0.0), connection)
            return
        self._waker.arm()
        # A message may have come between the last take and arm().
        ready = self._dispatch.ready(connection)
        self._dispatch.settle(connection.poll(0.0 if ready else self._poll_s()), connection)
        self._waker.disarm()

    def _collect(self) -> None:
        """Wait for more messages if the last ones went out just now."""
        early_s = self._sent_s + _COLLECT_S - self._clock.monotonic()
        if early_s > 0:
            self._hurry.wait(early_s)

    def _poll_s(self) -> float:
        most_s = _IDLE_S
        if self._ending is not None:
            most_s = max(self._ending.drained_s - self._clock.monotonic(), 0.0)
        return min(most_s, self._dispatch.retry_after_s())

    def _drained(self, connection: BrokerConnection) -> bool:
        if self._ending is None:
            return False
        if self._clock.monotonic() >= self._ending.drained_s:
            return True
        return not connection.in_flight and self._send_queue.empty()

    def _say_goodbye(self, connection: BrokerConnection) -> None:
        """Send the farewell and disconnect cleanly.

        If the broker accepts nothing more, the Will replaces it.
        """
        ending = self._ending
        if ending is None or connection.room <= 0:
            return
        if ending.farewell is not None:
            self._dispatch.send_last(ending.farewell, connection)
        while connection.in_flight and (left_s := ending.over_s - self._clock.monotonic()) > 0:
            self._dispatch.settle(connection.poll(left_s), connection)
        connection.close(clean=True)
