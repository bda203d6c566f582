"""A picture as an RTSP camera has sent it."""

from __future__ import annotations

from typing import NamedTuple


class RtpUnit(NamedTuple):
    """A picture as a decoder takes it.

    Attributes:
        data: all its NAL units with start codes (Annex B), or a JPEG file.
        stamp: its RTP time stamp.
        pts: the unwrapped time stamp, in units of the clock rate; the connection's first is 0.
        key: whether decoding can start here.
        disposable: whether no other picture needs it.
        whole: whether nothing of it was lost.
        read_s: monotonic time at which its first packet was read.
        recovery: at a recovery point, how many more reference pictures it takes until the image is correct.
        extradata: the parameter sets in force, with start codes; the same object until they change.
    """

    data: bytes
    stamp: int
    pts: int
    key: bool
    disposable: bool
    whole: bool
    read_s: float
    recovery: int = 0
    extradata: bytes = b""
