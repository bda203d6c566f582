"""A camera that plays a clip as told: when it answers, at which picture and packet it begins, how fast it goes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fuzz.rogue_server import Client, RogueServer

from framelane.demo.rtsp.packets import CLOCK_HZ, load_clip
from framelane.demo.rtsp.sdp import describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SSRC = 7


@dataclass(frozen=True)
class OddCamera:
    """What a clip is played like; call it with each connection.

    `first` is the picture it begins with, `lost` how many of that one's packets are missing; `steps` are the intervals
    between pictures, in turn and in seconds; `description_s` is how long it takes to answer DESCRIBE. `stamp` gives the
    time stamp of a picture, in seconds, from its number and when it is due; `loses` says of a picture's number, and the
    number of a packet in it, whether that packet is lost; `count` is how many pictures there are, None for no end.
    """

    clip: Path
    steps: tuple[float, ...] = (0.04,)
    first: int = 0
    lost: int = 0
    sprop: bool = True
    in_band: bool = True
    description_s: float = 0.0
    description: str | None = None
    stamp: Callable[[int, float], float] = lambda _number, at_s: at_s
    loses: Callable[[int, int], bool] = lambda _number, _packet: False
    count: int | None = None

    def __call__(self, client: Client) -> None:
        """Answer, then play forever."""
        clip = load_clip(self.clip, in_band=self.in_band)
        text = self.description or describe(clip, sprop=self.sprop)
        client.set_up(text, self.description_s)
        sequence, at_s, lost = 0, 0.0, self.lost
        began_s = time.monotonic()
        number = self.first
        while True:
            unit = clip.units[number % len(clip.units)]
            stamp = round(self.stamp(number, at_s) * CLOCK_HZ) & 0xFFFFFFFF
            packets = unit.stamped(sequence, stamp, _SSRC).packets()
            sequence += len(packets)
            for index, packet in enumerate(packets[lost:]):
                if not self.loses(number, index):
                    client.packet(bytes(packet))
            lost = 0
            at_s += self.steps[number % len(self.steps)]
            number += 1
            client.pause(max(began_s + at_s - time.monotonic(), 0.0))
            while number == self.count:
                client.pause(1.0)


def serving(behave: Callable[[Client], None]) -> RogueServer:
    """A server of this camera alone."""
    return RogueServer(behave, working=0)
