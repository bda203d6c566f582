"""The snapshots and clips of the streams of one process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from framelane.footage.address import Addresses
from framelane.footage.clip_events import ClipEvents
from framelane.footage.events import SnapshotEvents
from framelane.footage.snapshots import SnapshotMaker
from framelane.footage.store import Limits, MediaStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.config.sections.schema import Config
    from framelane.config.sections.stream import StreamConfig
    from framelane.core.clock import Clock
    from framelane.core.events import Event, Occupancy
    from framelane.footage.events import EventTaker
    from framelane.footage.views import Album
    from framelane.live.tap import StreamTap
    from framelane.messages.detections import Message
    from framelane.telemetry.meters import StreamMeter


class Footage:
    """Makes snapshots and clips while streams have them. Without `media.folder`, events just pass through.

    Args:
        config: a checked configuration.
        node: this node's id.
        publish: passes on messages; returns at once.
        clock: the clock.
        events: receives the events.
    """

    def __init__(
        self,
        config: Config,
        node: str,
        publish: Callable[[Message], None],
        clock: Clock,
        events: EventTaker,
    ) -> None:
        self._maker: SnapshotMaker | None = None
        store: MediaStore | None = None
        if config.media.folder is not None:
            uploads = config.media.s3 is not None
            store = MediaStore(Path(config.media.folder), Limits.of(config.media), uploads=uploads)
            self._maker = SnapshotMaker(store, publish, clock.monotonic)
        addresses = Addresses.of(config)
        order = (lambda _order: False) if self._maker is None else self._maker.put
        self._clips = ClipEvents(node, addresses, store, clock, events)
        self._snapshots = SnapshotEvents(node, addresses, order, self._clips)

    @property
    def makes_snapshots(self) -> bool:
        """Whether there is a folder for them."""
        return self._maker is not None

    def album(self, model: str) -> Album:
        """Return where a model's delivery thread keeps the best views of objects."""
        return self._snapshots.album(model)

    def follow(self, stream: StreamConfig, tap: StreamTap, meter: StreamMeter) -> None:
        """Make a stream's snapshots and clips as it is configured from now on."""
        self._snapshots.follow(stream.id, stream.snapshots, meter)
        if self._maker is not None and stream.snapshots is None:
            self._maker.clear(stream.id)
        self._clips.follow(stream, tap, meter)

    def remove(self, stream: str) -> None:
        """Make no more of a removed stream."""
        self._snapshots.forget(stream)
        self._clips.forget(stream)
        if self._maker is not None:
            self._maker.clear(stream)

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        """See EventTaker."""
        self._snapshots.take(happenings)

    def stop(self, timeout_s: float) -> None:
        """Finish what was ordered, within `timeout_s` seconds."""
        self._clips.stop(timeout_s)
        if self._maker is not None:
            self._maker.stop(timeout_s)
