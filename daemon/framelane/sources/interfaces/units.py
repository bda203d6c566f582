"""An access unit on its way to a decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import av

if TYPE_CHECKING:
    from fractions import Fraction

    from framelane.sources.timing.arrival_clock import Arrival


class Unit(NamedTuple):
    """A coded picture and what is known about it before decoding.

    Attributes:
        packet: the access unit; an empty packet asks the decoder for the frames that it holds back.
        key: whether decoding can begin here.
        disposable: whether no other picture needs this one.
        arrival: when it came; None for a file, which does not arrive.
        whole: whether neither this picture nor one that it may need was damaged or lost in transit, as far as
            known.
        recovery: at a recovery point, how many more reference pictures it takes until the image is correct; 0
            for a key frame.
        gap: why units before it were skipped, which the decoder has to know; empty if none were.
        shown: whether its frame is correct; otherwise it is decoded only for other pictures that need it.
        extradata: the parameter sets in force, as FFmpeg's decoders take them; empty for codecs that have
            none. Units share one object until a set changes, so `is` detects a change. With FFmpeg as the
            reader, these are the container's sets.
    """

    packet: av.Packet[Any]
    key: bool
    disposable: bool
    arrival: Arrival | None = None
    whole: bool = True
    recovery: int = 0
    gap: Literal["", "late", "damaged"] = ""
    shown: bool = True
    extradata: bytes = b""


def packet_of(data: bytes, pts: int | None, time_base: Fraction) -> av.Packet[Any]:
    """Return an access unit for FFmpeg's decoders, with its time stamp in units of `time_base` seconds."""
    packet: av.Packet[Any] = av.Packet(data)
    packet.pts = pts
    packet.time_base = time_base
    return packet
