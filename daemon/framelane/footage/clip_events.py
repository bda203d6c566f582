"""Sees events on their way to the journal, and has clips of them recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.core.events import Event
from framelane.footage.clip_recorder import ClipRecorder
from framelane.footage.clips import ClipMaker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.sections.footage import ClipsConfig
    from framelane.config.sections.stream import StreamConfig
    from framelane.core.clock import Clock
    from framelane.core.events import Occupancy
    from framelane.footage.address import Addresses
    from framelane.footage.events import EventTaker
    from framelane.footage.snapshots import Keeper
    from framelane.live.tap import StreamTap
    from framelane.telemetry.meters import StreamMeter


class ClipEvents:
    """Records the streams that have clips, then passes events on.

    Args:
        node: this node's id.
        addresses: of clips.
        store: keeps clips; None if there is no folder for them.
        clock: the clock.
        events: receives the events, and those that say that a clip is ready.
    """

    def __init__(
        self, node: str, addresses: Addresses, store: Keeper | None, clock: Clock, events: EventTaker
    ) -> None:
        self._node = node
        self._events = events
        # Changed by the thread that changes streams; the events' threads only look.
        self._recorders: dict[str, ClipRecorder] = {}
        self._taps: dict[str, StreamTap] = {}
        self._options: dict[str, ClipsConfig] = {}
        self._maker: ClipMaker | None = None
        if store is not None:
            self._maker = ClipMaker(store, addresses, self._tell, clock, self._recorders)

    def follow(self, stream: StreamConfig, tap: StreamTap, meter: StreamMeter) -> None:
        """Record a stream this way from now on, or not at all."""
        options, maker = stream.clips, self._maker
        if options is None or maker is None:
            self.forget(stream.id)
        elif self._options.get(stream.id) != options or self._taps.get(stream.id) is not tap:
            self.forget(stream.id)
            late_s = max((zone.enter_s for zone in stream.zones.values()), default=0.0)
            recorder = ClipRecorder(self._node, options, late_s, maker.put, meter)
            self._recorders[stream.id], self._taps[stream.id] = recorder, tap
            self._options[stream.id] = options
            tap.watch(recorder.unit)
            maker.start()

    def forget(self, stream: str) -> None:
        """Record a stream no more; finish its clips."""
        recorder, tap = self._recorders.pop(stream, None), self._taps.pop(stream, None)
        self._options.pop(stream, None)
        if recorder is not None and tap is not None:
            tap.unwatch(recorder.unit)
            recorder.finish_all()

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        """See EventTaker."""
        if self._recorders:
            for each in happenings:
                recorder = self._recorders.get(each.stream)
                if recorder is not None and isinstance(each, Event):
                    recorder.happened(each)
        self._events.take(happenings)

    def stop(self, timeout_s: float) -> None:
        """Finish all clips with the video that is there, within `timeout_s` seconds."""
        for name in list(self._recorders):
            self.forget(name)
        if self._maker is not None:
            self._maker.stop(timeout_s)

    def _tell(self, event: Event) -> None:
        self._events.take([event])
