"""A camera that sends a picture each time it is told to, so that a test knows which one has not been sent yet."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from framelane.demo.rtsp.packets import CLOCK_HZ, load_clip
from framelane.demo.rtsp.sdp import describe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.rogue_server import Client

    Marks = Literal["last", "all", "none"]
_SSRC = 7
_LOOK_S = 0.05


class SteppedCamera:
    """Call it with one connection, as `tests.sources.odd_camera.serving` does.

    `steps` are the intervals between pictures by their time stamps, in turn and in seconds, whenever they are sent;
    `marks` says which packets of a picture have RTP's mark; of the pictures in `cut` the first packet alone is sent.
    """

    def __init__(
        self,
        clip: Path,
        steps: tuple[float, ...] = (0.04,),
        marks: Marks = "last",
        cut: tuple[int, ...] = (),
    ) -> None:
        self._clip = load_clip(clip)
        self._steps = steps
        self._marks = marks
        self._cut = cut
        self._due = threading.Semaphore(0)

    def send(self, count: int = 1) -> None:
        """Have the next pictures sent."""
        self._due.release(count)

    def __call__(self, client: Client) -> None:
        """Answer, then send when told to."""
        client.set_up(describe(self._clip))
        sequence, at_s, number = 65_500, 47_700.0, 0  # both wrap soon
        while True:
            while not self._due.acquire(timeout=_LOOK_S):
                client.pause(_LOOK_S)
            unit = self._clip.units[number % len(self._clip.units)]
            packets = unit.stamped(sequence, round(at_s * CLOCK_HZ) & 0xFFFFFFFF, _SSRC).packets()
            if number in self._cut:
                packets = packets[:1]
            client.send(b"".join(_framed(self._marked(bytes(packet))) for packet in packets))
            sequence += len(packets)
            at_s += self._steps[number % len(self._steps)]
            number += 1

    def _marked(self, packet: bytes) -> bytes:
        if self._marks == "last":
            return packet
        mark = 0x80 if self._marks == "all" else 0
        return packet[:1] + bytes([packet[1] & 0x7F | mark]) + packet[2:]


def _framed(packet: bytes) -> bytes:
    return b"$\x00" + len(packet).to_bytes(2, "big") + packet
