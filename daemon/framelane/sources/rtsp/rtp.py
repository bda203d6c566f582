"""Takes RTP packets in sequence order and counts missing ones (RFC 3550 section 5.1)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, Protocol

from framelane.sources.rtsp.fragments import further_heads
from framelane.sources.rtsp.timestamps import ticks_between

if TYPE_CHECKING:
    from framelane.sources.rtsp.fragments import FragmentSyntax
    from framelane.sources.rtsp.sdp import VideoMedia

# Flags, marker and type, sequence number, time stamp, source.
_HEADER = struct.Struct(">BBHII")
HEADER_BYTES = 12
# Version 2 without padding, extension and contributing sources.
_PLAIN = 0x80
_EXTENDED = 0x10
_HALF = 1 << 15
_STAMP_MASK = 0xFFFFFFFF
_GONE_S = 2.0
"""Seconds of silence after which another source may take over."""
# RFC 3550 section 6.4.1.
_SMOOTHING = 16
_KEPT_JITTER = 1 - 1 / _SMOOTHING
# "$" and channel, length; then of the packet: flags, marker and type, sequence number, time stamp, source.
_FRAMED = struct.Struct(">HHHHII")
_FRAMED_NUMBER = struct.Struct(">HHHH")
# Of a datagram: flags, marker and type, sequence number, time stamp, source.
_PACKET = struct.Struct(">HHII")
_PACKET_NUMBER = struct.Struct(">HH")
_FRAMING_BYTES, _BEFORE_STAMP = 4, 4
_FRAMED_BYTES = _FRAMING_BYTES + HEADER_BYTES
_BEFORE_ORIGIN = _FRAMING_BYTES + _BEFORE_STAMP
_DOLLAR, _MARK = 0x24, 0x80


class Units(Protocol):
    """Builds pictures from payloads."""

    def feed(self, payload: bytes, stamp: int, read_s: float, *, marked: bool) -> None:
        """Take the next packet's payload."""
        ...

    def extension(self, data: bytes) -> None:
        """Take the header extension of the next packet."""
        ...

    def lost(self) -> None:
        """Note that packets are missing before the next one."""
        ...

    @property
    def fragments(self) -> FragmentSyntax:
        """How payloads begin that `feed_fragments` takes."""
        ...

    def feed_fragments(
        self, head: bytes, fragments: list[bytes], stamp: int, read_s: float, *, marked: bool
    ) -> None:
        """Take payloads of one time stamp that are fragments of one NAL unit."""
        ...


class Reception(NamedTuple):
    """Reception statistics of a source since it began.

    Attributes:
        source: the SSRC.
        highest: the highest sequence number, with its cycles in the upper 16 bits.
        expected: packets that should have come.
        received: packets that came, including duplicates and late ones.
        jitter: variation of the packet intervals, in time stamp ticks (RFC 3550 appendix A.8).
    """

    source: int
    highest: int
    expected: int
    received: int
    jitter: int


class RtpReceiver:
    """Takes one stream's packets.

    Another source may take over after silence or BYE: cameras restart that way. Packets of a parallel source
    are left over from an earlier session and are dropped.

    Args:
        media: the stream.
        units: takes the payloads.
    """

    def __init__(self, media: VideoMedia, units: Units) -> None:
        self._type = media.payload_type
        self._plain = _PLAIN << 8 | self._type
        """The first two bytes of a packet without marker and other extras, as a number."""
        self._rate = media.clock_rate
        self._units = units
        self._fragment_kinds, self._head_bytes = units.fragments
        self._source: int | None = None
        self._gone = False
        self._stamp = 0
        self._shift = 0
        self._jitter = 0.0
        self._first = self._last = self._highest = self._received = 0
        self.read_s = 0.0
        """When the last packet was read (monotonic)."""
        self.sources = 0
        """How many sources have been accepted so far. State of one source does not apply to the next."""

    @property
    def source(self) -> int | None:
        """The SSRC of the current source; None before the first packet."""
        return self._source

    @property
    def gone(self) -> bool:
        """Whether the source has sent BYE and no packet since."""
        return self._gone

    @property
    def reception(self) -> Reception | None:
        """The statistics of the source; None before the first packet."""
        if self._source is None:
            return None
        expected = self._highest - self._first + 1
        jitter = min(int(self._jitter), _STAMP_MASK)
        return Reception(self._source, self._highest, expected, self._received, jitter)

    def take(self, data: bytes, at: int, end: int, read_s: float) -> bool:
        """Take the next packet in order, at `data[at:end]`, read at this monotonic time.

        Returns:
            Whether the packet belongs to the stream.
        """
        if end - at < HEADER_BYTES:
            return False
        flags, mark, sequence, stamp, source = _HEADER.unpack_from(data, at)
        if mark & 0x7F != self._type or flags & 0xC0 != _PLAIN:
            return False
        if source != self._source and not self._admits(source, sequence, stamp, read_s):
            return False
        step = ((sequence - self._last + _HALF) & 0xFFFF) - _HALF
        if step != 1:
            self._units.lost()
        self._last += step
        self._highest = max(self._highest, self._last)
        self._received += 1
        self._note_jitter(stamp, read_s)
        at += HEADER_BYTES
        if flags != _PLAIN:
            if flags & _EXTENDED:
                self._units.extension(_extension(data, at, end, flags))
            at, end = _payload(data, at, end, flags)
        stamp = (stamp + self._shift) & _STAMP_MASK
        self._units.feed(data[at:end], stamp, read_s, marked=mark >= _PLAIN)
        return True

    def take_fragments(self, data: bytes, at: int, end: int, read_s: float, framing: int) -> int:
        """Take the interleaved packets from `at` on that are fragments of one NAL unit, in order.

        Most packets of large pictures are, and one at a time they cost several times as much.

        Args:
            data: read from the connection.
            at: where the first packet begins, with its "$".
            end: of the data.
            read_s: monotonic time at which the data was read.
            framing: "$" and the stream's channel, as a number of two bytes.

        Returns:
            Where the first other or incomplete frame begins.
        """
        payload = at + _FRAMED_BYTES
        begin = payload + self._head_bytes
        if begin >= end or data[payload] not in self._fragment_kinds:
            return at
        found, length, kind, number, stamp, source = _FRAMED.unpack_from(data, at)
        stop = at + _FRAMING_BYTES + length
        if found != framing or stop > end or stop <= begin or not self._continues(kind, number, source):
            return at
        plain, skipped = self._plain, begin - at
        head, fragments, marked = data[payload:begin], [data[begin:stop]], kind != plain
        origin = data[at + _BEFORE_ORIGIN : payload]
        middle, last = further_heads(head)
        middle, last = origin + middle, origin + last
        at = stop
        while not marked and at + skipped < end:
            found, length, kind, following = _FRAMED_NUMBER.unpack_from(data, at)
            begin, stop, number = at + skipped, at + _FRAMING_BYTES + length, (number + 1) & 0xFFFF
            if found != framing or following != number or stop > end or stop <= begin:
                break
            origin = data[at + _BEFORE_ORIGIN : begin]
            if origin == middle and kind == plain:
                fragments.append(data[begin:stop])
                at = stop
                continue
            if origin == last and kind & ~_MARK == plain:
                fragments.append(data[begin:stop])
                at, marked = stop, kind != plain
            break
        self._take_run(head, fragments, stamp, read_s, marked=marked)
        return at

    def take_fragment_packets(self, packets: list[bytes], at: int, read_s: float) -> int:
        """Take the datagrams from index `at` on that are fragments of one NAL unit, in order.

        Returns:
            How many they are.
        """
        packet, begin = packets[at], HEADER_BYTES + self._head_bytes
        if len(packet) <= begin or packet[HEADER_BYTES] not in self._fragment_kinds:
            return 0
        kind, number, stamp, source = _PACKET.unpack_from(packet)
        if not self._continues(kind, number, source):
            return 0
        plain, unpack = self._plain, _PACKET_NUMBER.unpack_from
        head, fragments, marked = packet[HEADER_BYTES:begin], [packet[begin:]], kind != plain
        middle, last = map(packet[_BEFORE_STAMP:HEADER_BYTES].__add__, further_heads(head))
        for packet in packets[at + 1 :]:
            number = (number + 1) & 0xFFFF
            if marked or len(packet) <= begin:
                break
            kind, following = unpack(packet)
            if following != number:
                break
            if kind != plain or packet[_BEFORE_STAMP:begin] != middle:
                if kind & ~_MARK == plain and packet[_BEFORE_STAMP:begin] == last:
                    fragments.append(packet[begin:])
                    marked = kind != plain
                break
            fragments.append(packet[begin:])
        self._take_run(head, fragments, stamp, read_s, marked=marked)
        return len(fragments)

    def _continues(self, kind: int, number: int, source: int) -> bool:
        """Return whether a plain packet of the current source is the next in order."""
        return kind & ~_MARK == self._plain and source == self._source and number == (self._last + 1) & 0xFFFF

    def _take_run(
        self, head: bytes, fragments: list[bytes], stamp: int, read_s: float, *, marked: bool
    ) -> None:
        """Count complete packets of one time stamp, and hand on their fragments."""
        count = len(fragments)
        self._last += count
        # Not max(): a call costs more.
        if self._last > self._highest:  # noqa: PLR1730
            self._highest = self._last
        self._received += count
        self._note_jitter(stamp, read_s)
        # The others came at the same time and have the same time stamp.
        self._jitter *= _KEPT_JITTER ** (count - 1)
        stamp = (stamp + self._shift) & _STAMP_MASK
        self._units.feed_fragments(head, fragments, stamp, read_s, marked=marked)

    def _note_jitter(self, stamp: int, read_s: float) -> None:
        """Update the jitter for a packet (RFC 3550 appendix A.8)."""
        ticks = ticks_between(self._stamp, stamp)
        self._jitter += (abs((read_s - self.read_s) * self._rate - ticks) - self._jitter) / _SMOOTHING
        self._stamp, self.read_s, self._gone = stamp, read_s, False

    def admit(self, packet: bytes, read_s: float) -> int | None:
        """Return the sequence number of a datagram of this stream; None for other datagrams."""
        if len(packet) < HEADER_BYTES:
            return None
        flags, mark, sequence, stamp, source = _HEADER.unpack_from(packet)
        if mark & 0x7F != self._type or flags & 0xC0 != _PLAIN:
            return None
        if source != self._source and not self._admits(source, sequence, stamp, read_s):
            return None
        number: int = sequence
        return number

    def late(self) -> None:
        """Count a packet that came twice or too late."""
        self._received += 1

    def goodbye(self) -> None:
        """Note that the source has sent BYE."""
        self._gone = self._source is not None

    def own_stamp(self, stamp: int) -> int:
        """Return the camera's own time stamp for a unit's time stamp."""
        return (stamp - self._shift) & _STAMP_MASK

    def _admits(self, source: int, sequence: int, stamp: int, read_s: float) -> bool:
        """Return whether to accept a packet of another source, which then becomes the current one."""
        if self._source is not None:
            # The same stream under another SSRC.
            if sequence == (self._last + 1) & 0xFFFF:
                self._source = source
                return True
            if not self._gone and read_s - self.read_s < _GONE_S:
                return False
            # The new source's time begins anywhere; continue the old time line.
            passed = round((read_s - self.read_s) * self._rate)
            self._shift = (self._stamp + self._shift + passed - stamp) & _STAMP_MASK
            self._units.lost()
        self._source, self._gone = source, False
        self._stamp, self.read_s, self._jitter = stamp, read_s, 0.0
        self._last, self._first, self._highest = sequence - 1, sequence, sequence
        self._received = 0
        self.sources += 1
        return True


def _extension(data: bytes, at: int, end: int, flags: int) -> bytes:
    """Return the header extension with its header, after contributing sources (RFC 3550 section 5.3.1)."""
    at += 4 * (flags & 0x0F)
    stop = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    return data[at : min(stop, end)]


def _payload(data: bytes, at: int, end: int, flags: int) -> tuple[int, int]:
    """Return the payload's bounds, without contributing sources, extension and padding (RFC 3550 5.1)."""
    at += 4 * (flags & 0x0F)
    if flags & _EXTENDED and at + 4 <= end:
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    if flags & 0x20 and end > at:
        end -= data[end - 1]
    return at, max(at, end)
