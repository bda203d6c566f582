"""Decodes one connection's access units and counts those that can't be decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from av import error as av_error

from framelane.core.errors import SourceError
from framelane.media.exif import UPRIGHT, exif_orientation
from framelane.media.orientation import Turner, display_orientation
from framelane.sources.interfaces.source import Decoded
from framelane.sources.network.ffmpeg_errors import source_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

    from framelane.core.clock import Clock
    from framelane.core.drop_reasons import DropReason
    from framelane.sources.decoding.decoder import DecoderName, StreamDecoder
    from framelane.sources.interfaces.units import Unit
    from framelane.sources.timing.arrival_clock import Arrival
    from framelane.telemetry.meters import StreamMeter

_MOST_FAILED_UNITS = 250
_MOST_FAILING_S = 60.0
"""A connection begins between two key frames, and some cameras send one only every many seconds.

After a damaged picture, too, nothing is decoded until the next key frame.
"""
_FAILS = 3
"""Failed units in a row until a stream counts as undecodable."""
_MOST_INSIDE = 20
"""H.264 and H.265 hold back at most 16 pictures to reorder them."""
_JPEG_HEAD_BYTES = 1 << 17
"""EXIF has at most 64 KiB, near the start."""


class UnitDecoder:
    """Decodes units in order. Any thread may call it, one at a time.

    Args:
        decoder: the stream's decoder.
        time_base_s: unit of the time stamps in seconds.
        clock: the source of time.
        meter: counts frames that can't be decoded.
        endless: whether the stream is live, so that reading begins in the middle.
        timed: whether time stamps say when pictures were taken; otherwise their arrival does.
        keep_damaged: whether frames that are known to be damaged are shown.
    """

    def __init__(
        self,
        decoder: StreamDecoder,
        time_base_s: float,
        clock: Clock,
        meter: StreamMeter,
        *,
        endless: bool,
        timed: bool = True,
        keep_damaged: bool = False,
    ) -> None:
        self._decoder = decoder
        self._time_base_s = time_base_s
        self._clock = clock
        self._meter = meter
        self._endless = endless
        self._timed = timed
        self._keep_damaged = keep_damaged
        self._began_s = self._good_s = clock.monotonic()
        self.damaged = False
        """Whether the last unit, or a frame that it completed, was damaged."""
        self._inside = _Inside()
        self._decoded_any = False
        self._failed = 0
        self._turner = Turner()
        # Unknown before the first frame.
        self._orientation = 0

    @property
    def name(self) -> DecoderName:
        """The decoder in use."""
        return self._decoder.name

    @property
    def fps(self) -> float | None:
        """The frame rate that the coded video declares; None if unknown or before the first frame."""
        return self._decoder.fps

    @property
    def fails(self) -> bool:
        """Whether several units in a row could not be decoded, although earlier ones could."""
        return self._decoded_any and self._failed >= _FAILS

    def decode(self, unit: Unit) -> Iterator[Decoded]:
        """Yield the frames that a unit completes.

        Raises:
            SourceError: the decoder fails, or nothing can be decoded.
        """
        self.damaged = False
        if unit.gap:
            held_back = self._inside.discard_all()
            if self._decoded_any:
                self._meter.frame_dropped(unit.gap, held_back)
            self._decoder.resume()
        self._inside.enter(unit.packet.pts, unit.arrival)
        if not unit.shown:
            self._inside.hide(unit.packet.pts)
            self._meter.frame_dropped("damaged")
        yield from self._decode(unit.packet)

    def drain(self) -> Iterator[Decoded]:
        """Yield the frames that the decoder holds back. A decoder that holds none is left as it is."""
        if self._inside:
            yield from self._decode(None)

    @property
    def reusable(self) -> bool:
        """Whether the decoder can serve the stream's next connection: it has worked, and holds no frame."""
        return self._decoded_any and not self._failed and not self._inside

    def flush(self) -> None:
        """Reset the decoder before a recording starts again."""
        self._decoder.flush()

    def _decode(self, packet: av.Packet[Any] | None) -> Iterator[Decoded]:
        try:
            frames = self._decoder.decode(packet)
        except (av_error.FFmpegError, OSError) as error:
            raise source_error(error, reading=True) from None
        if frames is None:
            self._inside.leave(packet.pts if packet is not None else None)
            self._count_failure("decode")
            return
        frames.reverse()
        # Keep no reference to a frame while its consumer, or the next packet, takes time.
        while frames:
            frame = frames.pop()
            arrival, wanted = self._inside.leave(frame.pts)
            if not wanted:
                continue
            if frame.is_corrupt and not self._keep_damaged:
                self._count_failure("damaged")
                continue
            self._decoded_any = True
            self._failed, self._good_s = 0, self._clock.monotonic()
            decoded = Decoded(self._upright(frame, packet), self._time_of(frame, arrival), arrival)
            del frame
            yield decoded
            del decoded

    def _upright(self, frame: av.VideoFrame, packet: av.Packet[Any] | None) -> av.VideoFrame:
        """Return the frame upright. Frames that NVDEC keeps on the GPU never need a rotation."""
        if not self._orientation or frame.key_frame:
            self._orientation = UPRIGHT
            if self._decoder.codec == "mjpeg" and packet is not None:
                self._orientation = exif_orientation(bytes(memoryview(packet)[:_JPEG_HEAD_BYTES]))
            if self._orientation == UPRIGHT:
                self._orientation = display_orientation(frame)
        return frame if self._orientation == UPRIGHT else self._turner.turn(frame, self._orientation)

    def _count_failure(self, why: DropReason) -> None:
        self._failed += 1
        # Before the first frame, the decoder fails at everything before a key frame, which damages nothing.
        self.damaged = self._decoded_any or why == "damaged"
        failing_s = self._clock.monotonic() - self._good_s
        if self._decoded_any:
            self._meter.frame_dropped(why)
        elif self._endless and failing_s < _MOST_FAILING_S:
            # Before the first key frame nothing can be decoded, and nothing is wrong.
            return
        if self._failed > _MOST_FAILED_UNITS:
            raise SourceError("undecodable", f"{self._failed} frames in a row could not be decoded")
        if self._endless and self._failed >= _FAILS and failing_s > _MOST_FAILING_S:
            raise SourceError("undecodable", f"nothing could be decoded for {failing_s:.0f} s")

    def _time_of(self, frame: av.VideoFrame, arrival: Arrival | None) -> float | None:
        if not self._timed and arrival is not None:
            return arrival.at_s - self._began_s
        return None if frame.pts is None else frame.pts * self._time_base_s


class _Inside:
    """Arrivals of the pictures inside a decoder, which returns them in another order."""

    def __init__(self) -> None:
        self._arrivals: dict[int | None, Arrival | None] = {}
        self._newest: Arrival | None = None
        self._unwanted: set[int | None] = set()
        # Pictures without a time stamp, as in raw H.264 files: they share one key.
        self._untimed = 0

    def __bool__(self) -> bool:
        return bool(self._arrivals) or bool(self._unwanted) or self._untimed > 0

    def enter(self, pts: int | None, arrival: Arrival | None) -> None:
        """Note a picture that goes in."""
        self._newest = self._arrivals[pts] = arrival
        if pts is None:
            self._untimed = min(self._untimed + 1, _MOST_INSIDE)
        # Damaged pictures never come out.
        if len(self._arrivals) > _MOST_INSIDE:
            del self._arrivals[next(iter(self._arrivals))]

    def leave(self, pts: int | None) -> tuple[Arrival | None, bool]:
        """Note a picture that comes out. Return its arrival and whether it is still wanted.

        A picture that never went in counts as the newest one.
        """
        wanted = pts not in self._unwanted
        self._unwanted.discard(pts)
        if pts is None:
            self._untimed = max(self._untimed - 1, 0)
        arrival = self._arrivals.pop(pts, self._newest)
        # Frames come out in presentation order.
        if pts is not None and self:
            self._arrivals = {each: at for each, at in self._arrivals.items() if each is None or each > pts}
            self._unwanted = {each for each in self._unwanted if each is None or each > pts}
        return arrival, wanted

    def hide(self, pts: int | None) -> None:
        """Mark a picture that went in as unwanted."""
        self._unwanted.add(pts)

    def discard_all(self) -> int:
        """Mark all pictures inside as unwanted, and return how many of them were wanted until now."""
        count = len(self._arrivals.keys() - self._unwanted)
        self._unwanted = set(self._arrivals)
        self._arrivals.clear()
        return count
