"""Connects the journal of events with the sinks: the broker takes events from an outbox, others as messages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from framelane.events.journal import EventJournal
from framelane.events.outbox import Outbox
from framelane.messages.event_queue import NoEvents
from framelane.messages.onvif.crossings import WithCrossings
from framelane.messages.onvif.properties import with_properties

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client.registry import Collector

    from framelane.config.sections.schema import Config
    from framelane.core.clock import Clock
    from framelane.messages.detections import Message
    from framelane.messages.event_queue import EventQueue


def make_outbox(config: Config, clock: Clock) -> Outbox | None:
    """Return where events wait for the broker; None without a broker."""
    return None if config.mqtt is None else Outbox(clock)


def broker_events(config: Config, outbox: Outbox | None) -> EventQueue:
    """Return the queue that the MQTT sink takes events from, with ONVIF's own messages if they are enabled."""
    if outbox is None:
        return NoEvents()
    return WithCrossings(outbox) if config.onvif.enabled else outbox


def make_journal(
    config: Config,
    clock: Clock,
    outbox: Outbox | None,
    publish: Callable[[Message], None],
    watch: Callable[[str | None], None],
) -> EventJournal:
    """Return the node's journal, not yet started.

    Args:
        config: the whole configuration.
        clock: the clock.
        outbox: where events wait for the broker; None without a broker.
        publish: hands messages to the sinks; returns at once.
        watch: called with the reason why events and counters are not safe, or None once they are.
    """
    offer = with_properties(publish, config.node.id) if config.onvif.enabled else publish
    return EventJournal(config, os.environ, clock, offer, outbox, watch)


def journal_collectors(journal: EventJournal) -> Sequence[Collector]:
    """Return the collectors of the journal's metrics."""
    # Imported only with a listener, because the web stack takes memory that a small host may lack.
    from framelane.events.metrics import JournalCollector  # noqa: PLC0415

    return [JournalCollector(journal)]
