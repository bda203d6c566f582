"""An access unit on its way to a decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import av

if TYPE_CHECKING:
    from fractions import Fraction

    from framelane.sources.arrivals import Arrival


class Unit(NamedTuple):
    """One picture as it is coded, and what is known of it before it is decoded.

    Attributes:
        packet: the access unit; an empty packet asks the decoder for what it holds back.
        key: whether decoding can begin here.
        disposable: whether no other picture needs this one.
        arrival: when it came; None where nothing arrives, as of a file.
        resumes: whether units before it have been skipped, which its decoder has to know.
        whole: whether nothing of it has been lost on the way, as far as anybody knows.
    """

    packet: av.Packet[Any]
    key: bool
    disposable: bool
    arrival: Arrival | None = None
    resumes: bool = False
    whole: bool = True


def packet_of(data: bytes, pts: int | None, time_base: Fraction) -> av.Packet[Any]:
    """An access unit as FFmpeg's decoders take it, with its time stamp in units of `time_base` seconds."""
    packet: av.Packet[Any] = av.Packet(data)
    packet.pts = pts
    packet.time_base = time_base
    return packet
