"""Faults of a camera on command, and the damage to its packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from framelane.demo.rtsp.packets import HEADER_BYTES, FrameBlock, frame_packets

if TYPE_CHECKING:
    from random import Random

GarbageKind = Literal["payload", "stream"]
_NOISE_BYTES = 1200
# The NAL or FU header stays, so that the decoder sees the damage.
_KEPT_PAYLOAD_BYTES = 2


@dataclass(frozen=True, slots=True)
class Faults:
    """The active faults; probabilities are 0 to 1.

    `corrupt` damages the payload of a frame's packets. `noise` sends random bytes instead of a frame
    (unframed on TCP, as datagrams on UDP). `loss` drops single packets.
    """

    paused: bool = False
    dead: bool = False
    silent: bool = False
    no_rtcp: bool = False
    corrupt: float = 0.0
    noise: float = 0.0
    loss: float = 0.0
    clock_offset_s: float = 0.0
    clock_drift_ppm: float = 0.0

    @property
    def touches_packets(self) -> bool:
        """Whether frames need the slow path."""
        return self.corrupt > 0 or self.noise > 0 or self.loss > 0


def spoil(block: FrameBlock, faults: Faults, random: Random) -> FrameBlock:
    """Apply noise, loss and corruption to a frame's packets; the result may be empty."""
    if random.random() < faults.noise:
        return FrameBlock(bytearray(random.randbytes(_NOISE_BYTES)), ())
    packets = [bytes(packet) for packet in block.packets() if random.random() >= faults.loss]
    if random.random() < faults.corrupt:
        packets = [_corrupted(packet, random) for packet in packets]
    return frame_packets(packets)


def _corrupted(packet: bytes, random: Random) -> bytes:
    kept = packet[: HEADER_BYTES + _KEPT_PAYLOAD_BYTES]
    return kept + random.randbytes(len(packet) - len(kept))
