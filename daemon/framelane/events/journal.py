"""The thread that writes events down before it passes them on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from framelane.core.events import Event, Occupancy
from framelane.core.worker import Worker
from framelane.events.disk import Disk, Newest
from framelane.events.health import JournalHealth
from framelane.events.history import EventHistory
from framelane.events.inbox import Conclusion, Inbox, Look, NewRules, StreamNews, WorkerLost
from framelane.events.journal_file import path_of
from framelane.events.ledger import Ledger
from framelane.events.outbox import Entry
from framelane.events.rules import has_events, rules_of
from framelane.messages.events import event_message

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from framelane.config.sections.schema import Config
    from framelane.core.clock import Clock
    from framelane.events.inbox import Item
    from framelane.events.outbox import Outbox
    from framelane.messages.detections import Message
    from framelane.messages.events import LineState, ZoneState
    from framelane.telemetry.states import StreamState

_AT_ONCE = 200
_TICK_S = 1.0
_COLLECT_S = 0.02
"""Minimum time between two transactions, so that events that come together share one."""


class EventJournal(Worker):
    """Takes what happens, writes it down, and passes it on. There is one per node.

    Args:
        config: the configuration.
        environ: the environment, in which systemd and the user may set where state belongs.
        clock: for time stamps and waits.
        publish: passes on messages; called on the journal's thread, and returns at once.
        outbox: keeps events until a sink has them; None if no sink acknowledges any.
        watch: called with the reason why events and counters are not safe, or None once they are.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        clock: Clock,
        publish: Callable[[Message], None],
        outbox: Outbox | None,
        watch: Callable[[str | None], None],
    ) -> None:
        super().__init__("events")
        self.health = JournalHealth()
        self._node = config.node.id
        self._clock = clock
        self._publish = publish
        self._outbox = outbox
        self._watch = watch
        self._inbox = Inbox()
        self.history = EventHistory(self._look, config.journal.history_events)
        """What happened lately; from any thread."""
        self._ledger = Ledger(self._node, rules_of(config), clock, onvif=config.onvif.enabled)
        path = path_of(config.journal, self._node, environ)
        self._disk = Disk(config.journal, path, self._ledger, outbox, clock)
        # A node without any events needs no file, and no folder for one.
        self._used = has_events(config) or path.exists()
        self._known = False
        self._concluded = False
        self._due_s = float("-inf")
        if outbox is not None:
            outbox.nudge = self._inbox.news.set

    @property
    def states(self) -> Collection[ZoneState | LineState]:
        """What the retained topics of zones and lines say; from any thread."""
        return list(self._ledger.retained.states.values())

    @property
    def counting(self) -> bool:
        """Whether counters are kept; from any thread."""
        return self.health.trouble is None

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        """Take what has happened on a stream; from any thread. Returns at once, never raises."""
        self._inbox.happened(happenings)

    def lost(self, events: int) -> None:
        """Count events that were dropped on their way here; from any thread."""
        self._inbox.lost(events)

    def worker_lost(self, streams: Sequence[str]) -> None:
        """Note that a worker process ended without a word about these streams; from any thread."""
        self._inbox.add(WorkerLost(tuple(streams)))

    def stream_changed(self, state: StreamState) -> None:
        """Note a stream's new state; from any thread."""
        self._inbox.add(StreamNews(state.stream, state.state))

    def stream_removed(self, stream: str) -> None:
        """Note that a stream was removed; from any thread."""
        self._inbox.add(StreamNews(stream, None))

    def configure(self, config: Config) -> None:
        """Use the rules of a new configuration; from any thread."""
        self._used = self._used or has_events(config)
        self._inbox.add(NewRules(rules_of(config)))

    def conclude(self, timeout_s: float) -> None:
        """End all open objects, and write and publish the rest; the outbox is served until `stop`."""
        conclusion = Conclusion(threading.Event())
        self._inbox.add(conclusion)
        if self.alive:
            conclusion.done.wait(timeout_s)

    def _look(self, look: Look) -> str | None:
        """Have the thread look into the file; return why newer events may be missing. From any thread."""
        if self.alive:
            self._inbox.add(look)
        else:
            look.found.set_result(None)
        return self.health.trouble

    def wake(self) -> None:
        """Make the thread look for work at once."""
        self._inbox.news.set()

    def run_once(self) -> None:
        """Wait for happenings or the next tick, and do what is due."""
        self._inbox.news.wait(_TICK_S)
        self._inbox.news.clear()
        self.turn()
        if not self._inbox.news.is_set():
            self.stopping.wait(_COLLECT_S)

    def turn(self) -> None:
        """Write down what has happened, then pass it on."""
        if self._used:
            self._disk.prepare()
        items = self._inbox.take(_AT_ONCE)
        for item in items:
            self._apply(item)
        self._ledger.tick()
        self._pass_on()
        now_s = self._clock.monotonic()
        if now_s >= self._due_s or not items:
            self._due_s = now_s + _TICK_S
            self._disk.tidy()
            self._report()
        for item in items:
            if isinstance(item, Conclusion):
                item.done.set()

    def ended(self) -> None:
        """Forget what was delivered, and close the file."""
        self.turn()
        self._disk.tidy()
        self._disk.close()

    def _apply(self, item: Item) -> None:
        if isinstance(item, NewRules):
            self._ledger.configure(item.rules)
        elif isinstance(item, StreamNews):
            self._ledger.stream_changed(item.stream, item.state)
        elif isinstance(item, WorkerLost):
            self._ledger.end_objects("restart", item.streams)
        elif isinstance(item, Look):
            if item.found.set_running_or_notify_cancel():
                item.found.set_result(self._newest(item))
        elif isinstance(item, Conclusion):
            self._ledger.end_objects("stopped")
            self._ledger.hide_occupancies()
            self._concluded = True
        elif self._concluded:
            return
        elif isinstance(item, Event):
            self._used = True
            self._ledger.take(item)
        else:
            self._ledger.occupied(item)

    def _newest(self, look: Look) -> Newest | None:
        if self._used:
            return self._disk.newest(look.after_row, look.before_row, look.most)
        return Newest("", 0, [])

    def _pass_on(self) -> None:
        """Write events, counters and topics; then publish them."""
        now = self._clock.wall()
        counted = self._ledger.counted()
        news = self._ledger.news(known=self._known)
        entries = [Entry(event_message(self._node, each.event, each.counter), now) for each in counted]
        if self._used:
            self._disk.save(entries)
        if not self._disk.usable:
            # The disk may never have the counters that these would tell.
            entries = [Entry(event_message(self._node, each.event, None), now) for each in counted]
            if self._outbox is not None and entries:
                self._outbox.hold(entries)
        if self._disk.usable != self._known:
            self._known = self._disk.usable
            # What was said of lines is no longer true.
            news = [message for message in news if message.kind != "lines" or not message.payload]
            news += self._ledger.news(known=self._known, all_lines=True)
        for message in (*(entry.message for entry in entries), *news):
            self._publish(message)

    def _report(self) -> None:
        before, outbox, oldest_at = self.health, self._outbox, self._disk.oldest_at
        dropped = {} if outbox is None else dict(outbox.dropped)
        dropped["queue"] = dropped.get("queue", 0) + self._inbox.dropped
        trouble = self._disk.outage.text
        self.health = JournalHealth(
            undelivered=0 if outbox is None else len(outbox),
            disk_bytes=self._disk.disk_bytes,
            oldest_s=None if oldest_at is None else max(self._clock.wall() - oldest_at, 0.0),
            trouble=None if trouble is None else f"the journal can't be used: {trouble}",
            dropped={**dict.fromkeys(_REASONS, 0), **dropped},
        )
        if self.health.trouble != before.trouble:
            self._watch(self.health.trouble)


_REASONS = ("queue", "size", "age", "corrupt")
"""All reasons for which events are given up, so that a counter exists before it counts."""
