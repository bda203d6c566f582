"""A camera's clock: RTP time, wall time, and the sender reports that connect them (RFC 3550 6.4.1)."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

from framelane.demo.rtsp.packets import CLOCK_HZ

# Seconds from 1900 to 1970.
NTP_EPOCH_S = 2_208_988_800
_CNAME = b"framelane-demo"


@dataclass(frozen=True, slots=True)
class CameraClock:
    """Maps the loop's monotonic time to RTP time and to the camera's wall time.

    `offset_s` is how far the camera's wall clock is ahead. `drift_ppm` is how much faster its oscillator
    runs, which affects RTP time and wall time.
    """

    start_s: float
    base_90k: int
    offset_s: float = 0.0
    drift_ppm: float = 0.0

    def rtp(self, monotonic_s: float) -> int:
        """Return the 32-bit RTP time (90 kHz) of a monotonic instant."""
        elapsed_s = (monotonic_s - self.start_s) * (1.0 + self.drift_ppm * 1e-6)
        return (self.base_90k + round(elapsed_s * CLOCK_HZ)) & 0xFFFFFFFF

    def wall(self, monotonic_s: float) -> float:
        """Return the camera's wall time at a monotonic instant, in seconds since 1970."""
        drift_s = (monotonic_s - self.start_s) * self.drift_ppm * 1e-6
        return wall_of(monotonic_s) + self.offset_s + drift_s


def wall_of(monotonic_s: float) -> float:
    """Return the host's wall time of an instant on the event loop's clock, in seconds since 1970."""
    return time.time() + (monotonic_s - time.monotonic())


def sender_report(clock: CameraClock, ssrc: int, packets: int, octets: int) -> bytes:
    """Return a compound RTCP packet for now: sender report and CNAME (RFC 3550 6.1)."""
    now_s = time.monotonic()
    ntp = round((clock.wall(now_s) + NTP_EPOCH_S) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
    report = struct.pack(
        ">BBHIQIII", 0x80, 200, 6, ssrc, ntp, clock.rtp(now_s), packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
    )
    return report + _source_description(ssrc)


def _source_description(ssrc: int) -> bytes:
    chunk = struct.pack(">IBB", ssrc, 1, len(_CNAME)) + _CNAME + b"\x00"
    chunk += b"\x00" * (-len(chunk) % 4)
    return struct.pack(">BBH", 0x81, 202, len(chunk) // 4) + chunk
