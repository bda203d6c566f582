"""Holds the newest coded pictures of one stream, in whole GOPs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from framelane.live.media_time import MediaTime
from framelane.live.video import NAL_CODECS

if TYPE_CHECKING:
    from framelane.sources.codecs.parameter_sets import NalCodec
    from framelane.sources.interfaces.tap import UnitOrigin
    from framelane.sources.interfaces.units import Unit


class CodedPicture(NamedTuple):
    """A coded picture and its times.

    Attributes:
        unit: the access unit.
        ticks: its time on the stream's time line, in 1/90000 s.
        captured_at: Unix time at which it was captured.
    """

    unit: Unit
    ticks: int
    captured_at: float


class Gop:
    """A key frame and the pictures up to the next one, or up to a fault.

    Attributes:
        codec: of its pictures.
        extradata: the parameter sets in force at the key frame.
        pictures: in decoding order.
        size: their bytes.
    """

    __slots__ = ("codec", "extradata", "pictures", "size")

    def __init__(self, codec: NalCodec, extradata: bytes) -> None:
        self.codec: NalCodec = codec
        self.extradata = extradata
        self.pictures: list[CodedPicture] = []
        self.size = 0

    @property
    def begins_at(self) -> float:
        """Unix time at which its key frame was captured."""
        return self.pictures[0].captured_at


class VideoRing:
    """The newest pictures. The owner does the locking."""

    def __init__(self) -> None:
        self.gops: deque[Gop] = deque()
        self.size = 0
        """Bytes of all pictures."""
        self.newest_at = float("-inf")
        """Unix time of the newest picture."""
        self._time = MediaTime()
        self._awaits_key = True

    def add(self, origin: UnitOrigin, unit: Unit) -> None:
        """Take a unit; what can't be decoded from a key frame on is left out."""
        codec, packet, arrival = NAL_CODECS.get(origin.codec), unit.packet, unit.arrival
        if codec is None or packet.pts is None or arrival is None:
            return
        ticks, breaks = self._time.unit(origin, packet.pts * float(packet.time_base), arrival.at_s)
        key = unit.key and not unit.recovery and unit.whole
        self._awaits_key |= breaks or not unit.whole
        if self._awaits_key and not key:
            return
        self._awaits_key = False
        if key:
            self.gops.append(Gop(codec, unit.extradata or bytes(packet)))
        gop = self.gops[-1]
        gop.pictures.append(CodedPicture(unit, ticks, arrival.captured_at))
        gop.size += packet.size
        self.size += packet.size
        self.newest_at = arrival.captured_at

    def forget_before(self, at: float) -> None:
        """Forget GOPs that are not needed to show what was captured from this Unix time on."""
        while len(self.gops) > 1 and self.gops[1].begins_at <= at:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Forget the oldest GOP."""
        self.size -= self.gops.popleft().size
        self._awaits_key |= not self.gops

    def between(self, begin_at: float, end_at: float) -> list[Gop]:
        """Return the GOPs with what was captured in this time, beginning with the one before it."""
        gops = list(self.gops)
        first = max((number for number, gop in enumerate(gops) if gop.begins_at <= begin_at), default=0)
        return [gop for gop in gops[first:] if gop.begins_at <= end_at]
