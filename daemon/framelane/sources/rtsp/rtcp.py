"""The camera's clock out of RTCP sender reports, and our reports to it (RFC 3550 section 6.4)."""

from __future__ import annotations

import struct

from framelane.sources.rtsp.stamps import ticks_between

_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION = 200, 201, 202
_HEADER = struct.Struct(">BBH")
_SENDER = struct.Struct(">IQI")  # SSRC, NTP time, RTP time
_BLOCK = struct.Struct(">IIIIII")
_NTP_EPOCH_S = 2_208_988_800  # seconds from 1900 to 1970
_ERA_S = 1 << 32
_FIRST_ERA = 1 << 31
_CNAME = b"framelane"
_VERSION = 0x80
_MOST_LOST = 0x7FFFFF


class Reports:
    """Reads the sender's reports of one stream and counts what a receiver's report has to say.

    Args:
        clock_rate: of RTP time stamps, per second.
        ssrc: our own source identifier.
    """

    def __init__(self, clock_rate: int, ssrc: int) -> None:
        self._clock_rate = clock_rate
        self._ssrc = ssrc
        self._sender: int | None = None
        self._last: tuple[int, float] | None = None  # RTP time, and Unix time of the same instant
        self._last_ntp = 0
        self._last_read_s = 0.0
        self._expected_before = self._received_before = 0

    def take(self, packet: bytes, read_s: float) -> None:
        """Read a compound packet that came at this monotonic time; what is damaged is passed over."""
        at = 0
        while at + _HEADER.size <= len(packet):
            first, kind, words = _HEADER.unpack_from(packet, at)
            if first & 0xC0 != _VERSION:
                return
            body = at + _HEADER.size
            if kind == _SENDER_REPORT and body + _SENDER.size <= len(packet):
                sender, ntp, stamp = _SENDER.unpack_from(packet, body)
                self._sender = sender
                if ntp:
                    self._last = stamp, unix_of(ntp)
                    self._last_ntp, self._last_read_s = (ntp >> 16) & 0xFFFFFFFF, read_s
            at += 4 * (words + 1)

    def captured_at(self, stamp: int) -> float | None:
        """Unix time at which a picture with this RTP time stamp was captured; None before the first report."""
        if self._last is None:
            return None
        ticks = ticks_between(self._last[0], stamp)
        return self._last[1] + ticks / self._clock_rate

    def answer(self, highest: int, expected: int, received: int, now_s: float) -> bytes:
        """A receiver report and our name.

        Args:
            highest: the highest sequence number so far, with its cycles in the upper 16 bits.
            expected: packets that should have come since the begin.
            received: packets that came.
            now_s: monotonic time.
        """
        lost = max(expected - received, 0)
        share = 0
        interval = expected - self._expected_before
        if interval > 0:
            missing = interval - (received - self._received_before)
            share = min(max((missing << 8) // interval, 0), 255)
        self._expected_before, self._received_before = expected, received
        delay = round((now_s - self._last_read_s) * 65536) & 0xFFFFFFFF if self._last_ntp else 0
        block = _BLOCK.pack(
            self._sender or 0,
            (share << 24) | min(lost, _MOST_LOST),
            highest & 0xFFFFFFFF,
            0,
            self._last_ntp,
            delay,
        )
        report = _HEADER.pack(_VERSION | 1, _RECEIVER_REPORT, 7) + struct.pack(">I", self._ssrc) + block
        chunk = struct.pack(">IBB", self._ssrc, 1, len(_CNAME)) + _CNAME + b"\x00"
        chunk += bytes(-len(chunk) % 4)
        return report + _HEADER.pack(_VERSION | 1, _DESCRIPTION, len(chunk) // 4) + chunk


def unix_of(ntp: int) -> float:
    """Unix time of a 64-bit NTP time stamp; those with a small number of seconds are of the era from 2036 on."""
    seconds, fraction = ntp >> 32, ntp & 0xFFFFFFFF
    if seconds < _FIRST_ERA:
        seconds += _ERA_S
    return seconds - _NTP_EPOCH_S + fraction / (1 << 32)
