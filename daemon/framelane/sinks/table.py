"""Makes the configured sinks, from the table of all kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from framelane.config.sections.sinks import SINKS
from framelane.messages.event_queue import NoEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from framelane.config.sections.schema import Config
    from framelane.core.clock import Clock
    from framelane.messages.event_queue import EventQueue
    from framelane.sinks.sink import Sink


def _no_broker(*, connected: bool, text: str) -> None:
    """Ignore the change."""


def _no_spool(trouble: str | None) -> None:
    """Ignore the change."""


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink may need to know about its process.

    Attributes:
        node: the node's id.
        run: the id of this run.
        clock: the clock.
        worker: the name of this worker process; None in the process that publishes the node's status.
        shared: whether several processes write to the same sinks.
        busy: returns the names of the worker processes that have streams.
        broker_changed: called when a connection is made or lost.
        spool_changed: called when waiting detections become safe on disk, or no longer are.
        events: where events wait for a sink that acknowledges them.
    """

    node: str
    run: str
    clock: Clock
    worker: str | None = None
    shared: bool = False
    busy: Callable[[], Collection[str]] = frozenset
    broker_changed: Callable[..., None] = _no_broker
    spool_changed: Callable[[str | None], None] = _no_spool
    events: EventQueue = field(default_factory=NoEvents)


def make_sinks(config: Config, context: SinkContext) -> dict[str, Sink]:
    """Return a sink for each configured section, by its key, in the order of the table."""
    made = {}
    for key, module in SINKS.items():
        section = getattr(config, key, None)
        if section is not None:
            # Imported only if configured: JSON lines need no MQTT client.
            made[key] = import_module(module).make(section, context)
    return made
