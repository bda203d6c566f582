"""Detects missing whole pictures in H.264 video, which numbers its reference pictures.

FFmpeg does not pass on the sequence numbers of RTP, and decodes past a missing picture without an error.
"""

from __future__ import annotations

from framelane.sources.codecs.bits import Bits
from framelane.sources.codecs.h264_sequence import MOST_BYTES, Sequence, read_sequence

_NAL_BYTES = 256
"""More than a slice header needs."""
_SLICES, _IDR, _SPS, _PPS = (1, 2, 5), 5, 7, 8
_LEAST_GAPS = 8


class FrameNumbers:
    """Follows frame_num from picture to picture (H.264 7.4.3).

    The numbers begin at 0 with each key frame (IDR). So a missing one shows, unless the numbers happen to
    continue those before it. Some encoders number pictures arbitrarily. If gaps are as frequent as pictures
    without a gap, none is reported.
    """

    def __init__(self) -> None:
        self._sequences: dict[int, Sequence] = {}
        self._sequence_of: dict[int, int] = {}
        self._last: int | None = None
        self._gaps = self._followed = 0

    def follows(self, unit: bytes) -> bool:
        """Return whether no reference picture is missing before a picture; True if that is unknown.

        Args:
            unit: its NAL units with start codes (Annex B), or parameter sets alone.
        """
        at = unit.find(b"\x00\x00\x01")
        while 0 <= at < len(unit) - 4:
            nal = unit[at + 3 : at + 3 + _NAL_BYTES]
            kind = nal[0] & 0x1F
            try:
                if kind in _SLICES:
                    return self._slice_follows(nal)
                if kind == _SPS:
                    sequence = read_sequence(unit[at + 3 : at + 3 + MOST_BYTES])
                    self._sequences[sequence.number] = sequence
                elif kind == _PPS:
                    bits = Bits(nal)
                    number, sequence_number = bits.ue(), bits.ue()
                    self._sequence_of[number] = sequence_number
            except ValueError:
                # Cut short, or not H.264.
                return True
            at = unit.find(b"\x00\x00\x01", at + 3)
        return True

    def _slice_follows(self, nal: bytes) -> bool:
        bits = Bits(nal)
        # first_mb_in_slice and slice_type.
        bits.ue()
        bits.ue()
        sequence = self._sequences.get(self._sequence_of.get(bits.ue(), -1))
        if sequence is None or sequence.may_skip:
            return True
        bits.u(2 if sequence.separate_planes else 0)
        number, last, needed = bits.u(sequence.frame_bits), self._last, bool(nal[0] & 0x60)
        if needed:
            self._last = number
        if nal[0] & 0x1F == _IDR or last is None:
            return True
        follows = number in (last, (last + 1) % (1 << sequence.frame_bits))
        self._followed += follows
        self._gaps += not follows
        return follows or (self._gaps > _LEAST_GAPS and self._gaps > self._followed)
