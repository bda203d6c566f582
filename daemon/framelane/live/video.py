"""Makes records of a stream's access units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.live.decode_times import DecodeTimes
from framelane.live.media_time import MediaTime
from framelane.live.mp4.codec_config import codec_config
from framelane.live.mp4.fragment import fragment
from framelane.live.mp4.init_segment import TICKS_PER_S, init_segment
from framelane.live.mp4.sample import sample
from framelane.live.records import Kind, Record

if TYPE_CHECKING:
    from framelane.sources.codecs.parameter_sets import NalCodec
    from framelane.sources.interfaces.tap import UnitOrigin
    from framelane.sources.interfaces.units import Unit

NAL_CODECS: dict[str, NalCodec] = {"h264": "h264", "hevc": "hevc"}


class Video:
    """One stream's video as records, from the first key frame on.

    Pictures that are damaged, or may need a lost one, are left out up to the next key frame.
    """

    def __init__(self) -> None:
        self.time = MediaTime()
        self._times = DecodeTimes()
        self._number = 0
        self._awaits_key = True
        self._sets: bytes | None = None
        self._head = b""

    def add(self, origin: UnitOrigin, unit: Unit) -> Record | None:
        """Return the record of a unit; None if it can't be shown."""
        codec, packet = NAL_CODECS.get(origin.codec), unit.packet
        if codec is None or packet.pts is None or unit.arrival is None:
            return None
        arrival = unit.arrival
        ticks, breaks = self.time.unit(origin, packet.pts * float(packet.time_base), arrival.at_s)
        if breaks:
            self._times = DecodeTimes()
            self._awaits_key = True
        # A player can't begin with a gradual refresh.
        key = unit.key and not unit.recovery
        playable = unit.whole and (not key or self._configure(codec, unit))
        self._awaits_key = not playable or (self._awaits_key and not key)
        if self._awaits_key:
            return None
        payload = (self._head if key else b"") + self._fragment(codec, bytes(packet), ticks, key=key)
        return Record(Kind.VIDEO, ticks / TICKS_PER_S, arrival.captured_at, payload, key)

    def _configure(self, codec: NalCodec, unit: Unit) -> bool:
        """Describe the parameter sets in force, if they have changed; return whether they make sense."""
        if unit.extradata is not self._sets or not unit.extradata:
            self._sets = unit.extradata
            # Some containers declare no sets; then the key frame has them.
            config = codec_config(codec, unit.extradata or bytes(unit.packet))
            text = b"" if config is None else config.text.encode()
            self._head = b"" if config is None else bytes([len(text)]) + text + init_segment(config)
        return bool(self._head)

    def _fragment(self, codec: NalCodec, data: bytes, ticks: int, *, key: bool) -> bytes:
        decode_ticks, duration_ticks = self._times.place(ticks)
        self._number += 1
        return fragment(
            self._number, decode_ticks, ticks, duration_ticks, key=key, sample=sample(codec, data)
        )
