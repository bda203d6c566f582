"""The thread that connects to the broker, delivers what is in the outbox, and connects again, for ever."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from framelane.core.worker import Worker
from framelane.sinks.faults import LinkError
from framelane.sinks.outage import Outage
from framelane.sinks.outbox import Parcel
from framelane.sinks.poison import Poison

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.backoff import Backoff
    from framelane.core.clock import Clock
    from framelane.sinks.envelope import Envelopes
    from framelane.sinks.link import Link, Settled
    from framelane.sinks.message import Message
    from framelane.sinks.outbox import Outbox
    from framelane.sinks.rivalry import Rivalry
    from framelane.sinks.waker import Waker

log = structlog.get_logger(__name__)

_IDLE_S = 60.0  # the link itself looks around every second
_CONNECT_S = 120.0  # name servers that are silent take a minute, and know no limit of ours
_TURN_S = 10.0  # sending, receiving and coming back from a wait
_GATHER_S = 0.004
"""Least time between two pieces that are sent while the outbox runs dry, so that messages go out several at a time.

To wake this thread for each message costs more than to send it, and in a busy process it waits each time until it has
the interpreter lock."""
_ALONE_S = 0.5
_FAREWELL_SHARE = 0.25  # of the time to drain, at most a second, kept for the goodbye


class Watch(Protocol):
    """Who wants to know whether the broker is there, such as `StatusBoard.broker_changed`."""

    def __call__(self, *, connected: bool, text: str) -> None:
        """It came, perhaps with a doubt, or it went and this is why; at each change, on the courier's thread."""
        ...


class Route(NamedTuple):
    """How a courier gets to the broker: makes a link (not open; may raise LinkError), names topics, waits, yields."""

    dial: Callable[[], Link]
    envelopes: Envelopes
    backoff: Backoff
    rivalry: Rivalry


class Ending(NamedTuple):
    """How a courier ends: when it stops to deliver, by when all is over (monotonic), and its last message, if any."""

    drained_s: float
    over_s: float
    farewell: Message | None


class Courier(Worker):
    """Delivers to one broker.

    Args:
        route: how to get there.
        outbox: what to deliver.
        waker: what the outbox wakes us with.
        clock: for deadlines.
        watch: told when the broker comes and goes.
    """

    def __init__(self, route: Route, outbox: Outbox, waker: Waker, clock: Clock, watch: Watch) -> None:
        super().__init__("mqtt")
        self.connected = False
        self.delivered = 0
        self.refused = 0
        self.outage = Outage("mqtt", clock)
        self._refusals = Outage("mqtt", clock)
        self._poison = Poison()
        self._route = route
        self._outbox = outbox
        self._waker = waker
        self._clock = clock
        self._watch = watch
        self._watched: tuple[bool, str] | None = None
        self._ending: Ending | None = None
        self._hurry = threading.Event()
        self._sent_s = -_GATHER_S
        self._slow = False
        self._over = threading.Event()
        self._expected_s = float("inf")

    @property
    def overdue_s(self) -> float:
        """Seconds since the thread was to be back from what it does; 0 unless it hangs. An absent broker is no hang."""
        return max(self._clock.monotonic() - self._expected_s, 0.0) if self.alive else 0.0

    def finish(self, drain_s: float, farewell: Message | None) -> None:
        """Deliver what waits, then the farewell if any, within `drain_s`; an absent broker is tried once more."""
        now_s = self._clock.monotonic()
        kept_s = min(1.0, drain_s * _FAREWELL_SHARE)
        self._ending = Ending(now_s + drain_s - kept_s, now_s + drain_s, farewell)
        self.wake()
        if self.alive:
            self._over.wait(drain_s)
        self.stop(timeout_s=0.2)

    def wake(self) -> None:
        """Wake the thread, whatever it waits for."""
        self._hurry.set()
        self._waker.wake()

    def run_once(self) -> None:
        """One connection, from its making to its end."""
        self._expect(_CONNECT_S)
        link = self._route.dial()
        try:
            link.open()
            self._came()
            while not self._drained(link) and not self.stopping.is_set():
                self._deliver(link)
            self._say_goodbye(link)
            self.stopping.set()
        except LinkError as error:
            poison = self._poison.lost(link.unsettled) if error.reason == "lost" else None
            if poison is not None:
                size = len(poison.message.payload)
                self._refuse(
                    poison, f"it closes the connection each time that this one of {size} bytes comes"
                )
            raise
        finally:
            link.close(clean=False)
            self.connected = False
            self._outbox.rewind()

    def failed(self, error: Exception) -> float:
        """Note why there is no connection, wait, and go on; while we end nothing more is tried."""
        reason = error.reason if isinstance(error, LinkError) else "failed"
        self._route.rivalry.ended(reason)
        text = str(error) or type(error).__name__
        if self._route.rivalry.suspected:
            reason, text = "taken_over", self._route.rivalry.text
        if self.outage.failed(reason, text) and reason == "failed":
            log.error("worker_failed", worker=self.name, exc_info=error)
        self._tell(connected=False)
        if self._ending is not None:
            self.stopping.set()
            return 0.0
        if reason == "lost":  # it was connected: what comes next is a first try again
            self._route.backoff.reset()
        waits = self._route.rivalry.wait_s if self._route.rivalry.suspected else self._route.backoff.next_s
        wait_s = waits()
        self._expect(wait_s + _TURN_S)
        self._hurry.wait(wait_s)
        return 0.0

    def _expect(self, within_s: float) -> None:
        self._expected_s = self._clock.monotonic() + within_s

    def ended(self) -> None:
        """Let `finish` return; the waker goes with the only thread that it wakes."""
        self._waker.close()
        self._over.set()

    def _came(self) -> None:
        self.connected, self._slow = True, False
        self._poison.began()
        self._route.rivalry.began()
        log.info("mqtt_connected")
        self._well()

    def _well(self) -> None:
        """All is well, unless a rival is suspected: then only a connection that lasts says so."""
        if not self._route.rivalry.suspected or self._route.rivalry.outlived():
            self.outage.over()
        self._tell(connected=True)

    def _tell(self, *, connected: bool) -> None:
        now = connected, self.outage.text or ""
        if now != self._watched:
            self._watched = now
            self._watch(connected=connected, text=now[1])

    def _deliver(self, link: Link) -> None:
        """Hand over what there is room for, then wait for acknowledgements or for more to send."""
        self._expect(_TURN_S)  # the link waits a second at most
        if self.outage.text is not None:
            self._well()
        self._gather()
        sent = False
        while self._may_send(link) and (parcel := self._outbox.take()) is not None:
            link.publish(parcel, self._route.envelopes.of(parcel.message, parcel.waited_s))
            sent = True
        if sent and link.room > 0:
            self._sent_s = self._clock.monotonic()
            self._settle(link.poll(0.0))
            return
        self._waker.arm()
        ready = self._may_send(link) and self._outbox.waiting()  # came between the last take and arm()
        self._settle(link.poll(0.0 if ready else self._patience_s()))
        self._waker.disarm()

    def _may_send(self, link: Link) -> bool:
        """Whether there is room: while connections are lost one after another, for one at a time, to find out which.

        A broker that hangs up does so at once; one that is slow to answer is not waited for on this connection.
        """
        if link.in_flight and self._route.rivalry.suspected and not self._slow:
            self._slow = self._clock.monotonic() - self._sent_s >= _ALONE_S
            return self._slow and link.room > 0
        return link.room > 0

    def _gather(self) -> None:
        """Let more messages come, if the last went out just now."""
        early_s = self._sent_s + _GATHER_S - self._clock.monotonic()
        if early_s > 0:
            self._hurry.wait(early_s)

    def _patience_s(self) -> float:
        if self._ending is None:
            return _ALONE_S if self._route.rivalry.suspected else _IDLE_S
        return max(self._ending.drained_s - self._clock.monotonic(), 0.0)

    def _settle(self, settled: list[Settled]) -> None:
        for parcel, refusal in settled:
            if refusal is None:
                self._outbox.settle(parcel)
                self._poison.settled(parcel)
                self.delivered += 1
            else:
                self._refuse(parcel, refusal)

    def _refuse(self, parcel: Parcel, refusal: str) -> None:
        self._outbox.settle(parcel)
        self.refused += 1
        topic = self._route.envelopes.of(parcel.message).topic
        self._refusals.failed("refused", f"the broker did not take a message on {topic}: {refusal}")

    def _drained(self, link: Link) -> bool:
        if self._ending is None:
            return False
        if self._clock.monotonic() >= self._ending.drained_s:
            return True
        return not link.in_flight and self._outbox.empty()

    def _say_goodbye(self, link: Link) -> None:
        """Send the farewell and end cleanly; where the broker takes nothing any more the Will must do."""
        ending = self._ending
        if ending is None or link.room <= 0:
            return
        if ending.farewell is not None:
            link.publish(Parcel(ending.farewell), self._route.envelopes.of(ending.farewell))
        while link.in_flight and (left_s := ending.over_s - self._clock.monotonic()) > 0:
            self._settle(link.poll(left_s))
        link.close(clean=True)
