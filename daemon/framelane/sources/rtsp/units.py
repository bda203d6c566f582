"""Puts access units together from RTP packets of H.264 (RFC 6184) and H.265 (RFC 7798).

RTP marks the last packet of a picture. Most cameras do, some mark every slice, or none. So the first picture of a
connection ends when the next begins; if its last packet alone was marked, marks end pictures from then on, until one
turns out to be wrong. Pictures also end where the time stamp changes, and where a NAL unit begins another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from framelane.sources.nal_units import NAL_SYNTAXES, START_CODE, tells_of_recovery
from framelane.sources.rtsp.stamps import ticks_between

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

_MOST_BYTES = 16 << 20
_MOST_PIECES = 1 << 16
"""Each costs more memory than its bytes."""
_STAP_A, _FU_A = 24, 28  # RFC 6184 table 1
_AP, _FU = 48, 49  # RFC 7798 sections 4.4.2 and 4.4.3
_STARTS, _HEADER = 0x80, 4


class RtpUnit(NamedTuple):
    """A picture as a decoder takes it.

    Attributes:
        data: all its NAL units behind start codes (Annex B).
        stamp: its RTP time stamp.
        pts: the same, unwrapped, in units of the clock rate; the connection's first is 0.
        key: decoding can start here.
        disposable: no other picture needs it.
        whole: nothing of it has been lost.
        read_s: monotonic time at which its first packet was read.
    """

    data: bytes
    stamp: int
    pts: int
    key: bool
    disposable: bool
    whole: bool
    read_s: float


class RtpUnits:
    """Takes one stream's RTP payloads in the order of their sequence numbers.

    Args:
        codec: what they hold.
        emit: given each unit as soon as it is complete.
        early: whether the mark may end a picture; else it ends when the next begins.
    """

    def __init__(
        self, codec: Literal["h264", "hevc"], emit: Callable[[RtpUnit], None], *, early: bool = True
    ) -> None:
        self._syntax = NAL_SYNTAXES[codec]
        self._is_h264 = codec == "h264"
        self._emit = emit
        self._early = early
        self.proven = False
        """Whether marks have been seen to end pictures, and nothing else."""
        self._marks = 0
        self._marked_last = False
        self._taken_stamp: int | None = None
        self._stamp = 0
        self._begun = False
        self._pts = 0
        self._broken = False
        self._missing = False
        """Whether packets are missing just before the one that is fed."""
        self._now_s = 0.0
        self._top_layer = 0
        self._reset()

    def feed(self, payload: bytes, stamp: int, read_s: float, *, marked: bool) -> None:
        """Take the next packet's payload.

        Args:
            payload: behind the RTP header, without padding.
            stamp: the RTP time stamp.
            read_s: monotonic time at which the packet was read.
            marked: the RTP marker bit.
        """
        self._now_s = read_s
        if self._missing:
            self._miss()
        if stamp != self._stamp or not self._begun:
            self._finish()
            self._unwrap(stamp)
            self._read_s = read_s
        elif not self._pieces:
            self._read_s = read_s
        if payload:
            if self._is_h264:
                self._add_h264(payload)
            else:
                self._add_hevc(payload)
        self._missing = False
        if marked:
            self._marks += 1
        self._marked_last = marked
        if marked and self.proven and self._slices:
            self._taken_stamp = stamp
            self._take()
        elif self._bytes > _MOST_BYTES or len(self._pieces) > _MOST_PIECES:
            self._reset()
            self._broken = True

    def lost(self) -> None:
        """Packets before the next one are missing: nobody knows of which picture, and whether of several."""
        self._missing = True

    def flush(self) -> None:
        """The stream has ended: nothing more of its last picture comes."""
        self._finish()

    def detach(self) -> None:
        """Hand on nothing any more, and hold nobody."""
        self._emit = _ignored

    def _finish(self) -> None:
        """Another picture begins. What came without a slice, such as parameter sets, goes with it."""
        if self._slices:
            # What the mark has to be right about: the last packet has it, and no other.
            if not self._broken:
                self.proven = self._early and self._marks == 1 and self._marked_last
            self._take()
        else:
            self._missing |= self._broken
        self._marks, self._open = 0, False
        if self._missing:
            self._miss()

    def _miss(self) -> None:
        """Packets are missing of this picture, or all of others."""
        self._broken, self._open = True, False
        if not self._slices:
            self._needed, self._recovers = True, False

    def _take(self) -> None:
        data = b"".join(self._pieces)
        key = self._key or self._recovers
        whole, disposable = not self._broken, not self._needed
        self._emit(RtpUnit(data, self._stamp, self._pts, key, disposable, whole, self._read_s))
        self._broken = False
        self._reset()

    def _reset(self) -> None:
        self._pieces: list[bytes] = []
        self._bytes = self._slices = self._marks = 0
        self._key = self._needed = self._recovers = self._marked_last = self._open = False
        self._read_s = self._now_s

    def _unwrap(self, stamp: int) -> None:
        """RTP time stamps have 32 bits, and may step back a little: pictures are sent in the order of decoding."""
        if self._begun:
            self._pts += ticks_between(self._stamp, stamp)
        self._stamp, self._begun = stamp, True

    def _begin(self, header: bytes, first: int) -> None:
        """A NAL unit begins, with this header, and this first byte behind it."""
        kind = self._syntax.kinds[header[0]]
        begins = first >= _STARTS if kind.slice else kind.leads
        if begins and self._slices:
            self._finish()  # pictures share a time stamp
        if not kind.slice:
            return
        if not self._slices:
            if not begins:
                self._lacks_begin()
            elif kind.key or self._recovers:
                self._broken = False  # whatever is missing before it
        self._slices += 1
        self._key |= kind.key
        layer = self._syntax.layer(header)
        self._top_layer = max(self._top_layer, layer)
        self._needed |= kind.reference or layer < self._top_layer  # pictures of higher layers may need it

    def _lacks_begin(self) -> None:
        """This belongs to something whose beginning is missing."""
        self._broken = True
        if self._taken_stamp == self._stamp and not self._missing:
            # A mark has ended it, which went out without this.
            self._early = self.proven = False

    def _nal(self, nal: bytes) -> None:
        """A whole NAL unit."""
        header_bytes = self._syntax.header_bytes
        if len(nal) <= header_bytes:
            return
        self._open = False
        self._begin(nal, nal[header_bytes])
        if self._syntax.kinds[nal[0]].sei and not self._recovers:
            self._recovers = tells_of_recovery(nal[1:])
        self._pieces += (START_CODE, nal)
        self._bytes += _HEADER + len(nal)

    def _piece(self, header: bytes, piece: bytes, *, starts: bool) -> None:
        """A piece of a NAL unit; the first one brings back the header that was taken off."""
        if starts:
            self._begin(header, piece[0])
            self._pieces += (START_CODE, header)
            self._open = True
        elif not self._open:
            self._lacks_begin()
            return
        self._pieces.append(piece)
        self._bytes += len(piece)

    def _add_h264(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if kind == _FU_A and len(payload) > 2:  # noqa: PLR2004 - indicator and header, RFC 6184 section 5.8
            fragment = payload[1]
            header = bytes(((payload[0] & 0xE0) | (fragment & 0x1F),))
            self._piece(header, payload[2:], starts=fragment >= _STARTS)
        elif kind == _STAP_A:
            self._aggregate(payload, 1)
        elif 0 < kind < _STAP_A:
            self._nal(payload)
        else:
            self._broken = True  # interleaved modes, which nobody asked for

    def _add_hevc(self, payload: bytes) -> None:
        kind = (payload[0] >> 1) & 0x3F
        if kind == _FU and len(payload) > 3:  # noqa: PLR2004 - two bytes of header and one, RFC 7798 section 4.4.3
            fragment = payload[2]
            header = bytes(((payload[0] & 0x81) | ((fragment & 0x3F) << 1), payload[1]))
            self._piece(header, payload[3:], starts=fragment >= _STARTS)
        elif kind == _AP:
            self._aggregate(payload, 2)
        elif kind < _AP:
            self._nal(payload)
        else:
            self._broken = True

    def _aggregate(self, payload: bytes, at: int) -> None:
        """Several whole NAL units, each behind two bytes of its length."""
        while at + 2 <= len(payload):
            end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
            if end > len(payload):
                self._broken = True
                return
            self._nal(payload[at + 2 : end])
            at = end


def _ignored(_unit: RtpUnit) -> None:
    """Nobody listens."""
