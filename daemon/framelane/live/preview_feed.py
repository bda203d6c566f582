"""The video of a watched stream that has a sub-stream: opened for viewers, and closed a while after the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.live.preview import OPENING, PreviewState
from framelane.live.preview_times import PreviewTimes
from framelane.live.unit_relay import UnitRelay
from framelane.live.video import Video

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.core.frames import FrameInfo
    from framelane.live.preview import Preview, PreviewReader
    from framelane.live.records import Record
    from framelane.sources.interfaces.tap import UnitOrigin
    from framelane.sources.interfaces.units import Unit

LINGER_S = 5.0
"""How long a sub-stream stays open after its last viewer, who may have moved on to its other view."""


class PreviewFeed:
    """Makes records of a sub-stream.

    Args:
        preview: the sub-stream.
        clock: the source of time.
        post: queues a function for the hub's thread; returns whether there was room.
        send: gives a record to the viewers of video; called on the hub's thread.
    """

    def __init__(
        self,
        preview: Preview,
        clock: Clock,
        post: Callable[[Callable[[], None]], bool],
        send: Callable[[Record], None],
    ) -> None:
        self.preview = preview
        self._clock = clock
        self._post = post
        self._send = send
        self._reader: PreviewReader | None = None
        self._state = OPENING
        self._left_s: float | None = None
        self._relay = UnitRelay(post, self._take_unit)
        self._begin()

    @property
    def is_open(self) -> bool:
        """Whether it is read, or tried to be."""
        return self._reader is not None

    @property
    def state(self) -> Record:
        """The state for a viewer that comes now."""
        return self._state.record()

    def want(self, *, wanted: bool) -> None:
        """Open it for the first viewer of video; note when the last one has left."""
        if not wanted:
            if self._left_s is None:
                self._left_s = self._clock.monotonic()
            return
        if self._left_s is not None:
            # A new viewer begins at a key frame of a new time line.
            self._begin()
        self._left_s = None
        if self._reader is None:
            self._state = OPENING
            self._reader = self.preview.open(self._on_unit, self._on_state)

    def expire(self) -> None:
        """Close it if the last viewer has left a while ago."""
        if self._left_s is not None and self._clock.monotonic() - self._left_s >= LINGER_S:
            self.close()

    def close(self) -> None:
        """Close it, without waiting for the end; may be called twice."""
        reader, self._reader = self._reader, None
        self._state = OPENING
        if reader is not None:
            reader.stopping.set()
            reader.wake()

    def compare(self, unit: Unit) -> None:
        """Take a picture of the stream itself, on the thread that reads it: boxes refer to its time stamp."""
        packet, arrival = unit.packet, unit.arrival
        if packet.pts is not None and arrival is not None:
            pts_s = packet.pts * float(packet.time_base)
            self._post(lambda: self._times.unit(pts_s, arrival))

    def media_s(self, frame: FrameInfo) -> float | None:
        """Return the media time in the sub-stream at which a frame was captured; None if it is not known."""
        return self._times.media_s(frame)

    def _begin(self) -> None:
        self._video = Video()
        self._times = PreviewTimes(self._clock)

    def _on_unit(self, origin: UnitOrigin, unit: Unit) -> None:
        if self._left_s is None:
            self._relay.put(origin, unit)

    def _take_unit(self, origin: UnitOrigin, unit: Unit) -> None:
        record = self._video.add(origin, unit)
        if record is not None and unit.arrival is not None:
            self._times.shown(unit.arrival, record.media_s)
            self._send(record)

    def _on_state(self, state: PreviewState) -> None:
        self._state = state
        self._post(lambda: self._send(state.record()))
