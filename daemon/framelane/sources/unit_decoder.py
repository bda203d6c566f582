"""Makes pictures of one connection's access units, and counts what can't be decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from av import error as av_error

from framelane.core.errors import SourceError
from framelane.sources.faults import source_error
from framelane.sources.source import Decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

    from framelane.core.clock import Clock
    from framelane.sources.arrivals import Arrival
    from framelane.sources.decoder import DecoderName, StreamDecoder
    from framelane.sources.source import SourceMeter
    from framelane.sources.units import Unit

_MOST_FAILED_UNITS = 250
_FIRST_PICTURE_S = 60.0
"""A camera is joined between two key frames, and some send one in many seconds."""
_MOST_INSIDE = 20
"""H.264 and H.265 keep at most 16 pictures back to put them in order."""


class UnitDecoder:
    """Decodes units in their order; any thread may, one at a time.

    Args:
        decoder: what decodes.
        time_base_s: seconds of a unit's time stamp.
        clock: where the time is read.
        meter: told of frames that can't be decoded.
        endless: whether it is live, and joined somewhere in the middle.
        timed: whether time stamps say when pictures were taken; else their arrival does.
    """

    def __init__(
        self,
        decoder: StreamDecoder,
        time_base_s: float,
        clock: Clock,
        meter: SourceMeter,
        *,
        endless: bool,
        timed: bool = True,
    ) -> None:
        self._decoder = decoder
        self._time_base_s = time_base_s
        self._clock = clock
        self._meter = meter
        self._endless = endless
        self._timed = timed
        self._began_s = clock.monotonic()
        self._inside = _Inside()
        self._decoded_any = False
        self._failed = 0

    @property
    def name(self) -> DecoderName:
        """What decodes now."""
        return self._decoder.name

    @property
    def fps(self) -> float | None:
        """The rate that the coded video declares, None where it declares none or no picture has come yet."""
        return self._decoder.fps

    def decode(self, unit: Unit) -> Iterator[Decoded]:
        """The pictures that a unit completes.

        Raises:
            SourceError: the decoder fails, or nothing can be decoded.
        """
        if unit.resumes:
            held_back = self._inside.forsake()
            if self._decoded_any:
                self._meter.frame_dropped("late", held_back)
            self._decoder.resume()
        self._inside.enter(unit.packet.pts, unit.arrival)
        yield from self._decode(unit.packet)

    def drain(self) -> Iterator[Decoded]:
        """The pictures that the decoder holds back; where it holds none, it is left as it is."""
        if self._inside:
            yield from self._decode(None)

    @property
    def reusable(self) -> bool:
        """Whether the decoder can go on with the stream's next connection: it did well, and holds no picture."""
        return self._decoded_any and not self._failed and not self._inside

    def flush(self) -> None:
        """Forget the past, before a recording starts again."""
        self._decoder.flush()

    def _decode(self, packet: av.Packet[Any] | None) -> Iterator[Decoded]:
        try:
            frames = self._decoder.decode(packet)
        except (av_error.FFmpegError, OSError) as error:
            raise source_error(error, reading=True) from None
        if frames is None:
            self._inside.leave(packet.pts if packet is not None else None)
            self._count_failure()
            return
        frames.reverse()
        while frames:  # no picture is kept here while its consumer, or the next one's packet, takes its time
            frame = frames.pop()
            arrival, wanted = self._inside.leave(frame.pts)
            if not wanted:
                continue
            if frame.is_corrupt:
                self._count_failure()
                continue
            self._decoded_any = True
            self._failed = 0
            decoded = Decoded(frame, self._time_of(frame, arrival), arrival)
            del frame
            yield decoded
            del decoded

    def _count_failure(self) -> None:
        self._failed += 1
        if self._decoded_any:
            self._meter.frame_dropped("decode")
        elif self._endless and self._clock.monotonic() - self._began_s < _FIRST_PICTURE_S:
            return  # before the first key frame nothing can be decoded, and nothing is wrong
        if self._failed > _MOST_FAILED_UNITS:
            raise SourceError("undecodable", f"{self._failed} frames in a row could not be decoded")

    def _time_of(self, frame: av.VideoFrame, arrival: Arrival | None) -> float | None:
        if not self._timed and arrival is not None:
            return arrival.at_s - self._began_s
        return None if frame.pts is None else frame.pts * self._time_base_s


class _Inside:
    """Arrivals of the pictures that are inside a decoder, which gives them back in another order."""

    def __init__(self) -> None:
        self._arrivals: dict[int | None, Arrival | None] = {}
        self._newest: Arrival | None = None
        self._forsaken: set[int | None] = set()

    def __bool__(self) -> bool:
        return bool(self._arrivals) or bool(self._forsaken)

    def enter(self, pts: int | None, arrival: Arrival | None) -> None:
        """A picture goes in."""
        self._newest = self._arrivals[pts] = arrival
        if len(self._arrivals) > _MOST_INSIDE:  # damaged ones never come out
            del self._arrivals[next(iter(self._arrivals))]

    def leave(self, pts: int | None) -> tuple[Arrival | None, bool]:
        """A picture comes out: when it arrived, and whether it is still wanted.

        One that never went in is taken for the newest.
        """
        wanted = pts not in self._forsaken
        self._forsaken.discard(pts)
        arrival = self._arrivals.pop(pts, self._newest)
        if pts is not None and self:  # pictures come in the order in which they are shown
            self._arrivals = {each: at for each, at in self._arrivals.items() if each is None or each > pts}
            self._forsaken = {each for each in self._forsaken if each is None or each > pts}
        return arrival, wanted

    def forsake(self) -> int:
        """Nothing that is inside is wanted any more; return how many pictures that are."""
        self._forsaken = set(self._arrivals)
        self._arrivals.clear()
        return len(self._forsaken)
