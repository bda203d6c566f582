"""Sees events on their way to the journal, and gives them their snapshots and clips."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from framelane.core.events import Event
from framelane.footage.snapshots import Order
from framelane.footage.views import Album
from framelane.messages.events import event_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.config.sections.footage import SnapshotsConfig
    from framelane.core.events import Occupancy
    from framelane.footage.address import Addresses
    from framelane.telemetry.meters import StreamMeter


class EventTaker(Protocol):
    """Receives what happens to objects."""

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        """Take what happened, in order. Return at once and never raise; called from any thread."""
        ...


class _Stream(NamedTuple):
    """How a stream's snapshots are made, and what counts them."""

    options: SnapshotsConfig
    meter: StreamMeter


class SnapshotEvents:
    """Orders a snapshot of each event that is to have one, then passes the event on with its address.

    Args:
        node: this node's id.
        addresses: of snapshots.
        order: takes orders and returns whether there was room.
        events: receives the events.
    """

    def __init__(
        self, node: str, addresses: Addresses, order: Callable[[Order], bool], events: EventTaker
    ) -> None:
        self._node = node
        self._addresses = addresses
        self._order = order
        self._events = events
        self._albums: dict[str, Album] = {}
        # Replaced as a whole when it changes, because all models' threads read it.
        self._streams: dict[str, _Stream] = {}

    def album(self, model: str) -> Album:
        """Return the album of a model, which the model's delivery thread alone may use."""
        return self._albums.setdefault(model, Album())

    def follow(self, stream: str, options: SnapshotsConfig | None, meter: StreamMeter) -> None:
        """Make a stream's snapshots this way from now on; None for none."""
        if options is None:
            self.forget(stream)
        else:
            self._streams = {**self._streams, stream: _Stream(options, meter)}

    def forget(self, stream: str) -> None:
        """Make no more snapshots of a stream."""
        self._streams = {name: each for name, each in self._streams.items() if name != stream}

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        """See EventTaker."""
        if self._streams:
            happenings = [self._seen(each) if isinstance(each, Event) else each for each in happenings]
        self._events.take(happenings)

    def _seen(self, event: Event) -> Event:
        stream, album = self._streams.get(event.stream), self._albums.get(event.model)
        if stream is None or album is None:
            return event
        view = album.best(event.stream, event.object.track_id)
        if event.kind == "end":
            album.forget(event.stream, event.object.track_id)
        if event.kind not in stream.options.kinds:
            return event
        if view is None:
            stream.meter.snapshot_made("unseen")
            return event
        name = event_id(self._node, event)
        # With its pixels, whatever becomes of those of the view.
        order = Order(event, name, self._node, view, view.frame.picture, view.crop, *stream)
        if not self._order(order):
            return event
        return replace(event, snapshot_url=self._addresses.snapshot(event, name))
