"""Builds access units from RTP packets of H.264 (RFC 6184) and H.265 (RFC 7798).

RTP marks the last packet of a picture. Most cameras do so, but some mark every slice, or nothing. So the
first picture of a connection ends when the next begins. If only its last packet was marked, marker bits end
pictures from then on, until one turns out to be wrong. Pictures also end when the time stamp changes, and
when a slice begins another picture. Parameter sets alone end no picture: GStreamer's rtph264pay, given whole
pictures, sends them before each slice of a key frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.sources.codecs.nal_units import NAL_SYNTAXES, START_CODE, recovery_frames
from framelane.sources.codecs.parameter_sets import ParameterSets
from framelane.sources.rtsp.fragments import FRAGMENT_SYNTAXES, FU, FU_A, STARTS, nal_header
from framelane.sources.rtsp.marker_trust import MarkerTrust
from framelane.sources.rtsp.rtp_unit import RtpUnit
from framelane.sources.rtsp.timestamps import ticks_between

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.sources.codecs.nal_units import NalKind
    from framelane.sources.codecs.parameter_sets import NalCodec

_MOST_BYTES = 16 << 20
_MOST_PIECES = 1 << 16
"""A limit of its own, because each piece costs more memory than its bytes."""
# RFC 6184 table 1, RFC 7798 section 4.4.2.
_STAP_A, _AP = 24, 48
_FIRST_SLICE, _HEADER = 0x80, 4


class RtpUnits:
    """Takes one stream's RTP payloads in the order of their sequence numbers.

    Args:
        codec: of the payloads.
        emit: called with each unit as soon as it is complete.
        early: whether the marker bit may end a picture; otherwise a picture ends when the next begins.
        extradata: parameter sets from the session description, with start codes.
    """

    def __init__(
        self,
        codec: NalCodec,
        emit: Callable[[RtpUnit], None],
        *,
        early: bool = True,
        extradata: bytes = b"",
    ) -> None:
        self._syntax = NAL_SYNTAXES[codec]
        self.fragments = FRAGMENT_SYNTAXES[codec]
        """How payloads begin that `feed_fragments` takes."""
        self._is_h264 = codec == "h264"
        self._emit = emit
        self._trust = MarkerTrust(early=early)
        self._marks = self._packets = 0
        self._marked_last = False
        self._taken_stamp: int | None = None
        self._stamp = 0
        self._begun = False
        self._pts = 0
        self._broken = False
        self._missing = False
        """Whether packets are missing just before the current one."""
        self._now_s = self._held_s = 0.0
        self._before_held = 0, False
        """How many packets had come when a NAL unit was first held, and whether only the last was marked."""
        self._top_layer = 0
        self._sets = ParameterSets(codec, extradata)
        self._usual_sets: int | None = None
        """Types of parameter sets that every key frame so far has included."""
        self._recovery: int | None = None
        self._reset()

    @property
    def proven(self) -> bool:
        """Whether marker bits were seen to end pictures and nothing else."""
        return self._trust.proven

    @property
    def refuted(self) -> bool:
        """Whether the last meaningful picture was not marked at its end alone."""
        return self._trust.refuted

    def extension(self, data: bytes) -> None:
        """Ignore the RTP header extension, which has no meaning for these codecs."""

    def feed(self, payload: bytes, stamp: int, read_s: float, *, marked: bool) -> None:
        """Take the next packet's payload.

        Args:
            payload: without RTP header and padding.
            stamp: the RTP time stamp.
            read_s: monotonic time at which the packet was read.
            marked: the RTP marker bit.
        """
        self._arrive(stamp, read_s)
        if payload:
            self._packets += 1
            if self._is_h264:
                self._add_h264(payload)
            else:
                self._add_hevc(payload)
        self._arrived(marked=marked)

    def feed_fragments(
        self, head: bytes, fragments: list[bytes], stamp: int, read_s: float, *, marked: bool
    ) -> None:
        """Take payloads of one time stamp that are fragments of one NAL unit, as `Depacketizer` says."""
        if marked and self._trust.proven and self._take_whole(head, fragments, stamp, read_s):
            return
        self._arrive(stamp, read_s)
        self._packets += len(fragments)
        self._add_fragments(head, fragments)
        self._arrived(marked=marked)

    def lost(self) -> None:
        """Note that packets are missing before the next one.

        They may belong to any picture, or to several.
        """
        self._missing = True

    def flush(self) -> None:
        """Emit the last picture: the stream has ended."""
        self._finish()

    def detach(self) -> None:
        """Emit nothing more, and drop references."""
        self._emit = _discard

    def _take_whole(self, head: bytes, fragments: list[bytes], stamp: int, read_s: float) -> bool:
        """Emit a picture that is one NAL unit, and return True; False if it is not as simple as that.

        Most pictures are. Step by step this would take four times as long and come to the same.
        """
        header = nal_header(head)
        kind = self._syntax.kinds[header[0]]
        if (
            head[-1] < STARTS
            or fragments[0][0] < _FIRST_SLICE
            or not kind.slice
            or kind.key
            or self._pieces
            or self._broken
            or self._missing
        ):
            return False
        self._unwrap(stamp)
        needed, self._taken_stamp, self._now_s = self._is_needed(kind, header), stamp, read_s
        self._packets = self._marks = 0
        data = b"".join((START_CODE, header, *fragments))
        self._emit(
            RtpUnit(data, stamp, self._pts, False, not needed, True, read_s, 0, self._sets.current)  # noqa: FBT003
        )
        return True

    def _arrive(self, stamp: int, read_s: float) -> None:
        """Begin with a packet's payload."""
        self._now_s = read_s
        if self._missing:
            self._miss()
        if stamp != self._stamp or not self._begun:
            self._finish()
            self._unwrap(stamp)
            self._read_s = read_s
        elif not self._pieces:
            self._read_s = read_s

    def _arrived(self, *, marked: bool) -> None:
        """Finish with a packet's payload."""
        self._missing = False
        self._marked_last = marked
        if marked:
            self._marks += 1
            if self._trust.proven and self._slices:
                self._taken_stamp = self._stamp
                self._take()
                return
        if self._bytes > _MOST_BYTES or len(self._pieces) + len(self._held) > _MOST_PIECES:
            self._drop()

    def _drop(self) -> None:
        """Drop data that is larger than any picture."""
        self._reset()
        self._broken = True

    def _finish(self) -> None:
        """Finish the picture because another begins.

        NAL units without a slice, such as parameter sets, go with it.
        """
        if self._slices:
            if not self._broken:
                self._learn_of_marks()
            self._take()
        else:
            self._missing |= self._broken
            self._packets = 0
        self._marks, self._open = 0, False
        if self._missing:
            self._miss()

    def _learn_of_marks(self) -> None:
        packets, right = self._packets, self._marks == 1 and self._marked_last
        if self._held:
            packets, right = self._before_held
        self._trust.learn(packets, right=right, key=self._key or self._recovery is not None)

    def _miss(self) -> None:
        """Account for missing packets, of this picture or of others."""
        self._broken, self._open = True, False
        if not self._slices:
            self._needed, self._recovery = True, None

    def _take(self) -> None:
        data = b"".join(self._pieces)
        key = self._key or self._recovery is not None
        recovery = 0 if self._key else self._recovery or 0
        whole, disposable = not self._broken, not self._needed
        self._emit(
            RtpUnit(
                data,
                self._stamp,
                self._pts,
                key,
                disposable,
                whole,
                self._read_s,
                recovery,
                self._sets.current,
            )
        )
        self._broken = False
        held, held_s = self._held, self._held_s
        self._reset()
        if held:
            self._read_s, self._packets = held_s, len(held)
        for nal in held:
            self._add(nal)

    def _reset(self) -> None:
        self._pieces: list[bytes] = []
        self._held: list[bytes] = []
        """NAL units after the last slice, which belong to the next picture unless this one continues."""
        self._bytes = self._slices = self._marks = self._packets = self._own_sets = 0
        self._key = self._needed = self._marked_last = self._open = False
        self._recovery = None
        self._read_s = self._now_s

    def _unwrap(self, stamp: int) -> None:
        """Unwrap a 32-bit RTP time stamp.

        It may step back a little, because pictures come in decoding order.
        """
        if self._begun:
            self._pts += ticks_between(self._stamp, stamp)
        self._stamp, self._begun = stamp, True

    def _begin(self, header: bytes, first: int) -> None:
        """Begin a NAL unit with this header and this first byte after it."""
        kind = self._syntax.kinds[header[0]]
        begins = first >= _FIRST_SLICE if kind.slice else kind.leads
        if begins and self._slices:
            # Two pictures share a time stamp.
            self._finish()
        if not kind.slice:
            return
        if self._held:
            # They repeat what is known: a decoder that has begun with this picture needs none of them.
            self._held = []
        if not self._slices:
            if not begins:
                self._lacks_begin()
            elif kind.key or self._recovery == 0:
                # A key frame needs nothing before it. A gradual refresh stays visible until it is complete.
                self._broken = self._lacks_sets()
        self._slices += 1
        self._key |= kind.key
        self._needed |= self._is_needed(kind, header)

    def _is_needed(self, kind: NalKind, header: bytes) -> bool:
        """Return whether another picture may need the one with this slice."""
        if self._is_h264:
            return kind.reference
        layer = self._syntax.layer(header)
        self._top_layer = max(self._top_layer, layer)
        # Pictures of higher layers may need this one.
        return kind.reference or layer < self._top_layer

    def _lacks_begin(self) -> None:
        """Handle data of a picture or NAL unit whose beginning is missing."""
        self._broken = True
        if self._taken_stamp == self._stamp and not self._missing:
            # A marker bit ended the picture, which was emitted without this data.
            self._trust.refute()

    def _lacks_sets(self) -> bool:
        """Return whether a key frame after a gap lacks parameter sets that all earlier key frames had.

        The decoder would use the old parameter sets. A key frame needs nothing else of what is missing.
        """
        usual, own = self._usual_sets, self._own_sets
        if self._broken:
            return usual is not None and bool(usual & ~own)
        self._usual_sets = own if usual is None else usual & own
        return False

    def _nal(self, nal: bytes) -> None:
        """Add a whole NAL unit."""
        header_bytes = self._syntax.header_bytes
        if len(nal) <= header_bytes:
            return
        self._open = False
        kind = self._syntax.kinds[nal[0]]
        if self._slices and not kind.slice and (kind.leads or self._held):
            self._hold(nal)
            return
        self._begin(nal, nal[header_bytes])
        self._add(nal)

    def _hold(self, nal: bytes) -> None:
        """Hold a NAL unit until the next slice shows whether it belongs to another picture."""
        if not self._held:
            self._held_s = self._now_s
            # The packet with this NAL unit has been counted already.
            self._before_held = self._packets - 1, self._marks == 1 and self._marked_last
        self._held.append(nal)
        self._bytes += _HEADER + len(nal)

    def _add(self, nal: bytes) -> None:
        kind = self._syntax.kinds[nal[0]]
        if kind.sets:
            self._own_sets |= kind.sets
            self._sets.add(nal)
        elif kind.sei and self._recovery is None:
            self._recovery = recovery_frames(nal[1:])
        self._pieces += (START_CODE, nal)
        self._bytes += _HEADER + len(nal)

    def _add_fragments(self, head: bytes, fragments: list[bytes]) -> None:
        """Add fragments of a NAL unit. Its header, which the sender took off, is restored before the first."""
        if head[-1] >= STARTS:
            header = nal_header(head)
            self._begin(header, fragments[0][0])
            self._pieces += (START_CODE, header)
            self._open = True
        elif not self._open:
            self._lacks_begin()
            return
        self._pieces += fragments
        self._bytes += sum(map(len, fragments))

    def _add_h264(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if kind == FU_A and len(payload) > 2:  # noqa: PLR2004 - indicator and header, RFC 6184 section 5.8
            self._add_fragments(payload[:2], [payload[2:]])
        elif kind == _STAP_A:
            self._aggregate(payload, 1)
        elif 0 < kind < _STAP_A:
            self._nal(payload)
        else:
            # Interleaved modes, which were not negotiated.
            self._broken = True

    def _add_hevc(self, payload: bytes) -> None:
        kind = (payload[0] >> 1) & 0x3F
        if kind == FU and len(payload) > 3:  # noqa: PLR2004 - two bytes of header and one, RFC 7798 section 4.4.3
            self._add_fragments(payload[:3], [payload[3:]])
        elif kind == _AP:
            self._aggregate(payload, 2)
        elif kind < _AP:
            self._nal(payload)
        else:
            self._broken = True

    def _aggregate(self, payload: bytes, at: int) -> None:
        """Add several whole NAL units, each preceded by its length in two bytes."""
        while at + 2 <= len(payload):
            end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
            if end > len(payload):
                self._broken = True
                return
            self._nal(payload[at + 2 : end])
            at = end


def _discard(_unit: RtpUnit) -> None:
    """Replace `emit` after detach()."""
