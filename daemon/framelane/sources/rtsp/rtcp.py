"""Reads the camera's clock from RTCP sender reports, and writes receiver reports (RFC 3550 section 6.4)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from framelane.sources.rtsp.timestamps import ticks_between

if TYPE_CHECKING:
    from framelane.sources.rtsp.rtp import RtpReceiver

_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION, _GOODBYE = 200, 201, 202, 203
_SOURCE = struct.Struct(">I")
_COUNT = 0x1F
_HEADER = struct.Struct(">BBH")
# SSRC, NTP time, RTP time.
_SENDER = struct.Struct(">IQI")
_BLOCK = struct.Struct(">IIIIII")
# Seconds from 1900 to 1970.
_NTP_EPOCH_S = 2_208_988_800
_ERA_S = 1 << 32
_FIRST_ERA = 1 << 31
_CNAME = b"framelane"
_VERSION = 0x80
_MOST_LOST = 0x7FFFFF


class Reports:
    """Reads one stream's sender reports, and writes receiver reports.

    Some cameras use another SSRC in their reports than in their packets. So reports of any source count until
    one comes from the packets' own source.

    Args:
        receiver: counts packets; told when its source sends BYE.
        clock_rate: of RTP time stamps, per second.
        ssrc: our own source identifier.
    """

    def __init__(self, receiver: RtpReceiver, clock_rate: int, ssrc: int) -> None:
        self._receiver = receiver
        self._clock_rate = clock_rate
        self._ssrc = ssrc
        self._sources = 0
        self._own = False
        # RTP time and Unix time of the same instant.
        self._last: tuple[int, float] | None = None
        self._forget()

    def take(self, packet: bytes, read_s: float) -> None:
        """Read a compound packet that came at this monotonic time. Damaged parts are ignored."""
        at = 0
        while at + _HEADER.size <= len(packet):
            first, kind, words = _HEADER.unpack_from(packet, at)
            if first & 0xC0 != _VERSION:
                return
            body = at + _HEADER.size
            at += 4 * (words + 1)
            if kind == _SENDER_REPORT and body + _SENDER.size <= len(packet):
                self._take_sender(_SENDER.unpack_from(packet, body), read_s)
            elif kind == _GOODBYE and first & _COUNT:
                self._take_goodbye(packet[body : body + _SOURCE.size])

    def captured_at(self, stamp: int) -> float | None:
        """Return the Unix time at which the picture with this time stamp was captured; None if unknown."""
        if self._sources != self._receiver.sources:
            self._follow()
        if self._last is None:
            return None
        ticks = ticks_between(self._last[0], self._receiver.own_stamp(stamp))
        return self._last[1] + ticks / self._clock_rate

    def answer(self, now_s: float) -> bytes:
        """Return our receiver report for this monotonic time; without a block before the first packet."""
        self._follow()
        block = self._block(now_s)
        report = _HEADER.pack(_VERSION | (1 if block else 0), _RECEIVER_REPORT, 1 + len(block) // 4)
        report += _SOURCE.pack(self._ssrc) + block
        chunk = struct.pack(">IBB", self._ssrc, 1, len(_CNAME)) + _CNAME + b"\x00"
        chunk += bytes(-len(chunk) % 4)
        return report + _HEADER.pack(_VERSION | 1, _DESCRIPTION, len(chunk) // 4) + chunk

    def _take_sender(self, sender: tuple[int, int, int], read_s: float) -> None:
        """Take a report's SSRC, NTP time and RTP time."""
        source, ntp, stamp = sender
        self._follow()
        own = source == self._receiver.source
        if not ntp or (self._own and not own):
            return
        self._own = own
        self._last = stamp, unix_of(ntp)
        self._last_ntp, self._last_read_s = (ntp >> 16) & 0xFFFFFFFF, read_s

    def _take_goodbye(self, source: bytes) -> None:
        own = self._receiver.source
        if own is not None and source == _SOURCE.pack(own):
            self._receiver.goodbye()

    def _follow(self) -> None:
        """Forget the state of the previous source after a new one has begun."""
        if self._sources != self._receiver.sources:
            # Keep the first state: a camera may send a report before its first packet.
            if self._sources:
                self._forget()
            self._sources = self._receiver.sources

    def _forget(self) -> None:
        self._own, self._last = False, None
        self._last_ntp = 0
        self._last_read_s = 0.0
        self._expected_before = self._received_before = 0

    def _block(self, now_s: float) -> bytes:
        """Return the report block of the source (RFC 3550 section 6.4.1); empty before the first packet."""
        reception = self._receiver.reception
        if reception is None:
            return b""
        lost = max(reception.expected - reception.received, 0)
        share = 0
        interval = reception.expected - self._expected_before
        if interval > 0:
            missing = interval - (reception.received - self._received_before)
            share = min(max((missing << 8) // interval, 0), 255)
        self._expected_before, self._received_before = reception.expected, reception.received
        delay = round((now_s - self._last_read_s) * 65536) & 0xFFFFFFFF if self._last_ntp else 0
        return _BLOCK.pack(
            reception.source,
            (share << 24) | min(lost, _MOST_LOST),
            reception.highest & 0xFFFFFFFF,
            reception.jitter,
            self._last_ntp,
            delay,
        )


def unix_of(ntp: int) -> float:
    """Convert a 64-bit NTP time stamp to Unix time. Small seconds belong to the era that begins in 2036."""
    seconds, fraction = ntp >> 32, ntp & 0xFFFFFFFF
    if seconds < _FIRST_ERA:
        seconds += _ERA_S
    return seconds - _NTP_EPOCH_S + fraction / (1 << 32)
