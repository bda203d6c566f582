"""One stream while it is watched: makes records of what its tap and its sub-stream show, for its viewers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from framelane.live.boxes import boxes_json
from framelane.live.mp4.init_segment import TICKS_PER_S
from framelane.live.preview_feed import PreviewFeed
from framelane.live.records import Kind, Record
from framelane.live.stills import LONGEST, Stills
from framelane.live.unit_relay import UnitRelay
from framelane.live.video import Video

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.core.clock import Clock
    from framelane.core.frames import Frame, FrameInfo, Result
    from framelane.live.preview import Preview
    from framelane.live.stills import Size
    from framelane.live.tap import StreamTap
    from framelane.sources.interfaces.tap import UnitOrigin
    from framelane.sources.interfaces.units import Unit

Want = Literal["video", "tile", "large"]
"""Part of a stream that a viewer watches: its video with boxes, or small or large stills."""
_WANTS: tuple[Want, ...] = ("video", "tile", "large")


class Sink(Protocol):
    """Takes the records of one stream."""

    def put(self, record: Record) -> None:
        """Take a record; returns at once. Any thread may call it."""
        ...


class Feed:
    """The records of one stream. Taps call it on their threads; `post` moves the work to the hub's thread.

    Args:
        clock: the source of time.
        post: queues a function for the hub's thread; returns whether there was room.
    """

    def __init__(self, clock: Clock, post: Callable[[Callable[[], None]], bool]) -> None:
        self._clock = clock
        self._post = post
        self._tap: StreamTap | None = None
        self._preview: PreviewFeed | None = None
        self._video = Video()
        self._stills = Stills(clock)
        self._relay = UnitRelay(post, self._take_unit)
        # Replaced as a whole, because the hub's thread reads them meanwhile.
        self._sinks: dict[Want, tuple[Sink, ...]] = dict.fromkeys(_WANTS, ())

    @property
    def watched(self) -> bool:
        """Whether there is a viewer."""
        return any(self._sinks.values())

    def follow(self, tap: StreamTap | None, preview: Preview | None = None) -> None:
        """Watch the stream through this tap, and its video in this sub-stream if there is one.

        No tap while there is no such stream.
        """
        if self._tap is not None and self._tap is not tap:
            self._tap.unwatch(self._on_unit)
            self._tap.frame = self._tap.result = None
        self._tap = tap
        self._change_preview(preview)
        self._set_taps()

    def add(self, want: Want, sink: Sink) -> None:
        """Add a viewer; it gets the last still at once."""
        if not self._sinks["video"]:
            self._video = Video()
        self._sinks[want] = (*self._sinks[want], sink)
        if want == "video":
            last = None if self._preview is None else self._preview.state
        else:
            last = self._stills.last.get(want)
        if last is not None:
            sink.put(last)
        self._set_taps()

    def remove(self, want: Want, sink: Sink) -> None:
        """Remove a viewer."""
        self._sinks[want] = tuple(each for each in self._sinks[want] if each is not sink)
        if not self._stilled:
            self._stills = Stills(self._clock)
        self._set_taps()

    def look(self) -> None:
        """Do what is due; called several times per second on the hub's thread."""
        if self._stilled:
            self._send_stills(self._stills.look(self._stilled))

    def expire(self) -> bool:
        """Close a sub-stream that nobody has watched for a while; return whether nothing is left to do."""
        if self._preview is not None:
            self._preview.expire()
        return not self.watched and (self._preview is None or not self._preview.is_open)

    @property
    def _stilled(self) -> tuple[Size, ...]:
        return tuple(size for size in LONGEST if self._sinks[size])

    def _change_preview(self, preview: Preview | None) -> None:
        before = self._preview
        if (None if before is None else before.preview) is preview:
            return
        self._preview = None
        if preview is not None:
            self._preview = PreviewFeed(preview, self._clock, self._post, self._send_video)
        if before is not None:
            before.close()
        self._video = Video()

    def _set_taps(self) -> None:
        tap, preview = self._tap, self._preview
        wanted = bool(self._sinks["video"])
        if preview is not None:
            preview.want(wanted=wanted)
        if tap is not None:
            (tap.watch if wanted else tap.unwatch)(self._on_unit)
            tap.frame = self._on_frame if self._stilled else None
            tap.result = self._on_result if self.watched else None

    def _on_unit(self, origin: UnitOrigin, unit: Unit) -> None:
        preview = self._preview
        if preview is not None:
            preview.compare(unit)
            return
        self._relay.put(origin, unit)

    def _on_frame(self, frame: Frame) -> None:
        stills = self._stills
        if stills.wants:
            stills.wants = False
            self._post(lambda: stills.take(frame))

    def _on_result(self, result: Result) -> None:
        self._post(lambda: self._take_result(result))

    def _take_unit(self, origin: UnitOrigin, unit: Unit) -> None:
        record = self._video.add(origin, unit)
        if record is not None:
            self._send("video", record)

    def _take_result(self, result: Result) -> None:
        if self._sinks["video"]:
            media_s = self._media_s(result.frame)
            if media_s is not None:
                boxes = boxes_json(result, near=self._preview is not None)
                self._send("video", Record(Kind.BOXES, media_s, result.frame.captured_at, boxes))
        if self._stilled:
            self._send_stills(self._stills.result(result, self._stilled))

    def _media_s(self, frame: FrameInfo) -> float | None:
        """Return the media time of a frame in the video that is shown; None if it is not known."""
        if self._preview is not None:
            return self._preview.media_s(frame)
        ticks = self._video.time.frame(frame.source_pts_s)
        return None if ticks is None else ticks / TICKS_PER_S

    def _send_video(self, record: Record) -> None:
        self._send("video", record)

    def _send_stills(self, stills: Mapping[Size, Record]) -> None:
        for size, record in stills.items():
            self._send(size, record)

    def _send(self, want: Want, record: Record) -> None:
        for sink in self._sinks[want]:
            sink.put(record)
