"""Takes apart what comes on an RTSP connection while it plays: RTP, RTCP and answers (RFC 2326 section 10.12)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from framelane.core.errors import SourceError
from framelane.sources.rtsp.errors import MalformedError
from framelane.sources.rtsp.message import message_size
from framelane.sources.rtsp.units import RtpUnits

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.sources.rtsp.client import VideoMedia
    from framelane.sources.rtsp.rtcp import Reports
    from framelane.sources.rtsp.units import RtpUnit

_DOLLAR = 0x24
_RTP = struct.Struct(">BBHI")  # flags, mark and type, sequence number, time stamp
_RTP_BYTES = 12
_PLAIN = 0x80  # version 2 without padding, extension and contributing sources
_MOST_RUBBISH = 64 << 10
"""Bytes between two packets of the stream; TCP loses none, so that the sender has lost its way."""
_ANSWER = b"RTSP/"
_HALF = 1 << 15


class Channels(Protocol):
    """Numbers of a session's interleaved channels."""

    @property
    def channel(self) -> int:
        """Of RTP."""
        ...

    @property
    def rtcp_channel(self) -> int:
        """Of RTCP."""
        ...


class Interleaved:
    """Reads one connection's bytes.

    Args:
        media: the stream.
        channels: which packets are the stream's.
        reports: takes RTCP.
        emit: given each access unit.
        answered: given what the server answers to requests meanwhile.
        early: whether a mark may end a picture.
    """

    def __init__(
        self,
        media: VideoMedia,
        channels: Channels,
        reports: Reports,
        emit: Callable[[RtpUnit], None],
        answered: Callable[[bytes], None],
        *,
        early: bool,
    ) -> None:
        self._type = media.payload_type
        self._rtp, self._rtcp = channels.channel, channels.rtcp_channel
        self._reports = reports
        self._answered = answered
        self._units = RtpUnits(media.codec, emit, early=early)
        self._rest = b""
        self._rubbish = 0
        self._first = self._last = 0
        self.highest = 0
        """The highest sequence number, with its cycles in the upper 16 bits."""
        self.received = 0
        """RTP packets of the stream that came."""

    @property
    def proven(self) -> bool:
        """Whether marks are known to end pictures."""
        return self._units.proven

    @property
    def expected(self) -> int:
        """RTP packets that should have come."""
        return self.highest - self._first + 1 if self.received else 0

    def feed(self, data: bytes, read_s: float) -> None:
        """Take bytes that were read at this monotonic time.

        Raises:
            SourceError: this is no RTSP.
        """
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while at < end:
            if data[at] != _DOLLAR:
                skipped = self._skip(data, at)
                if skipped is None:
                    break
                at = skipped
                continue
            if at + 4 > end:
                break
            length = (data[at + 2] << 8) | data[at + 3]
            stop = at + 4 + length
            if stop > end:
                break
            channel = data[at + 1]
            if channel == self._rtp:
                self._take_rtp(data, at + 4, stop, read_s)
            elif channel == self._rtcp:
                self._reports.take(data[at + 4 : stop], read_s)
            else:
                self._pass_over(stop - at)
            at = stop
        self._rest = data[at:] if at < end else b""

    def end(self) -> None:
        """The connection has ended."""
        self._units.flush()

    def detach(self) -> None:
        """Call nobody any more, and hold nobody."""
        self._answered = _ignored
        self._units.detach()

    def _take_rtp(self, data: bytes, at: int, end: int, read_s: float) -> None:
        if end - at < _RTP_BYTES:
            return
        flags, mark, sequence, stamp = _RTP.unpack_from(data, at)
        if mark & 0x7F != self._type or flags & 0xC0 != _PLAIN:
            return
        self._follow(sequence)
        at += _RTP_BYTES
        if flags != _PLAIN:
            at, end = _payload(data, at, end, flags)
        self._units.feed(data[at:end], stamp, read_s, marked=mark >= _PLAIN)

    def _follow(self, sequence: int) -> None:
        self._rubbish = 0
        if not self.received:
            self._first = self._last = self.highest = sequence
        else:
            step = ((sequence - self._last + _HALF) & 0xFFFF) - _HALF
            if step != 1:
                self._units.lost()
            self._last += step
            self.highest = max(self.highest, self._last)
        self.received += 1

    def _skip(self, data: bytes, at: int) -> int | None:
        """Where the next packet may begin behind what is none; None where more has to come first."""
        try:
            size = message_size(memoryview(data)[at:])
        except MalformedError:
            dollar = data.find(b"$", at)
            stop = len(data) if dollar < 0 else dollar
            self._pass_over(stop - at)
            return stop
        if size is None:
            return None
        if data.startswith(_ANSWER, at):  # else the server asks something, which it can do without
            self._answered(data[at : at + size])
        return at + size

    def _pass_over(self, count: int) -> None:
        self._rubbish += count
        if self._rubbish > _MOST_RUBBISH:
            raise SourceError("lost", "reading broke off: what comes is not RTSP any more")


def _ignored(_answer: bytes) -> None:
    """Nobody listens."""


def _payload(data: bytes, at: int, end: int, flags: int) -> tuple[int, int]:
    """Where the payload lies behind contributing sources and an extension, and before padding (RFC 3550 5.1)."""
    at += 4 * (flags & 0x0F)
    if flags & 0x10 and at + 4 <= end:
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    if flags & 0x20 and end > at:
        end -= data[end - 1]
    return at, max(at, end)
