"""Decides which part of one stream's video becomes a clip of an event, and cuts it out of the ring."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from typing import TYPE_CHECKING

from framelane.config.sizes import parse_bytes
from framelane.footage.video_ring import VideoRing
from framelane.messages.events import event_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.config.sections.footage import ClipsConfig
    from framelane.core.events import Event
    from framelane.footage.video_ring import CodedPicture, Gop
    from framelane.sources.codecs.parameter_sets import NalCodec
    from framelane.sources.interfaces.tap import UnitOrigin
    from framelane.sources.interfaces.units import Unit
    from framelane.telemetry.meters import StreamMeter

_LATE_S = 3.0
"""How much later than its pictures an event may come."""
_SILENT_S = 2.0
"""How long the video of a clip's end is waited for, if it does not come."""
_MOST_OPEN = 64
"""Clips of one stream that are open at once."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Video for a clip.

    Attributes:
        event: the event that it shows; an `end` that has not come yet as far as it is known.
        name: that event's id.
        number: counts the clips of the object, from 1.
        meter: counts what becomes of it.
        codec: of the video.
        extradata: its parameter sets.
        pictures: in decoding order, the first a key frame; empty if there are none.
    """

    event: Event
    name: str
    number: int
    meter: StreamMeter
    codec: NalCodec
    extradata: bytes
    pictures: tuple[CodedPicture, ...]

    @property
    def size(self) -> int:
        """Bytes of the video."""
        return sum(picture.unit.packet.size for picture in self.pictures)


@dataclass(slots=True)
class _Open:
    """A clip whose end has not come.

    Attributes:
        event: see Cut.
        name: see Cut.
        number: see Cut.
        begin_at: Unix time of the first second that it must show.
        end_at: Unix time at which it ends, unless its object ends before.
        closed: whether its object has ended.
    """

    event: Event
    name: str
    number: int
    begin_at: float
    end_at: float
    closed: bool = False


class ClipRecorder:
    """The clips of one stream. Units come on the thread that reads, events on the models' threads.

    Args:
        node: this node's id.
        options: the stream's `clips`.
        late_s: how much earlier than an event's message the event may have begun, besides processing.
        cut: takes finished cuts; returns at once.
        meter: counts what becomes of clips.
    """

    def __init__(
        self,
        node: str,
        options: ClipsConfig,
        late_s: float,
        cut: Callable[[Cut], None],
        meter: StreamMeter,
    ) -> None:
        self._node = node
        self._options = options
        self._reach_s = options.before_s + _LATE_S + late_s
        self._most_bytes = parse_bytes(options.max_bytes)
        self._cut = cut
        self._meter = meter
        self._lock = threading.Lock()
        self._ring = VideoRing()
        # By object, then in the order of their events.
        self._open: dict[str, list[_Open]] = {}
        self._numbers: dict[str, int] = {}

    def unit(self, origin: UnitOrigin, unit: Unit) -> None:
        """Take a unit from the stream's tap."""
        with self._lock:
            self._ring.add(origin, unit)
            if unit.key:
                self._finish(self._ring.newest_at)
                self._forget()

    def happened(self, event: Event) -> None:
        """Open and close clips as an event says."""
        with self._lock:
            name = event.object.id
            if event.kind == "end":
                self._close(name, event)
            elif event.kind == "new":
                if "end" in self._options.kinds:
                    # Its id is known before it happens.
                    self._begin(replace(event, kind="end"), event.object.since)
            elif event.kind in self._options.kinds:
                self._begin(event, event.at)

    def look(self, now: float) -> None:
        """Finish clips whose video does not come any more; `now` is the Unix time."""
        with self._lock:
            self._finish(max(now - _SILENT_S, self._ring.newest_at))

    def finish_all(self) -> None:
        """Finish all clips with the video that is there."""
        with self._lock:
            self._finish(float("inf"))

    def _begin(self, event: Event, at: float) -> None:
        if sum(map(len, self._open.values())) >= _MOST_OPEN:
            self._meter.clip_made("queue")
            return
        name = event.object.id
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        begin_at = at - self._options.before_s
        opened = _Open(event, event_id(self._node, event), number, begin_at, at + self._options.most_s)
        self._open.setdefault(name, []).append(opened)

    def _close(self, name: str, event: Event) -> None:
        for each in self._open.get(name, ()):
            if each.event.kind == "end":
                each.event = event
            each.end_at = min(each.end_at, event.at + self._options.after_s)
            each.closed = True
        if name not in self._open:
            self._numbers.pop(name, None)

    def _finish(self, at: float) -> None:
        """Cut the clips that have ended by this Unix time."""
        for name in list(self._open):
            due = [each for each in self._open[name] if each.end_at <= at]
            for each in due:
                self._cut_out(name, each)

    def _cut_out(self, name: str, opened: _Open) -> None:
        self._open[name].remove(opened)
        if not self._open[name]:
            del self._open[name]
            if opened.closed:
                self._numbers.pop(name, None)
        gops = _alike(self._ring.between(opened.begin_at, opened.end_at))
        pictures = chain.from_iterable(gop.pictures for gop in gops)
        self._cut(
            Cut(
                opened.event,
                opened.name,
                opened.number,
                self._meter,
                gops[0].codec if gops else "h264",
                gops[0].extradata if gops else b"",
                tuple(takewhile(lambda picture: picture.captured_at <= opened.end_at, pictures)),
            )
        )

    def _forget(self) -> None:
        """Forget the video that no clip needs, and what exceeds the memory."""
        ring = self._ring
        open_clips = [(each.begin_at, name, each) for name, many in self._open.items() for each in many]
        open_clips.sort(key=lambda each: each[0])
        needed_at = ring.newest_at - self._reach_s
        ring.forget_before(min([needed_at, *(begin_at for begin_at, *_ in open_clips)]))
        while ring.size > self._most_bytes and ring.gops:
            while open_clips and len(ring.gops) > 1 and open_clips[0][0] < ring.gops[1].begins_at:
                _, name, each = open_clips.pop(0)
                each.end_at = ring.newest_at
                self._cut_out(name, each)
            ring.drop_oldest()


def _alike(gops: list[Gop]) -> list[Gop]:
    """Return the last of these GOPs that share their parameter sets: a file has one set."""
    if not gops:
        return gops
    last = gops[-1]
    first = len(gops)
    while first and (gops[first - 1].codec, gops[first - 1].extradata) == (last.codec, last.extradata):
        first -= 1
    return gops[first:]
