"""Builds access units from FFmpeg's RTP payloads, each as soon as its own last packet has come.

FFmpeg's parser ends an access unit when the next one begins: a frame interval late, 40 ms at 25 frames per
second. RTP marks the last packet of a picture (RFC 6184 section 5.1, RFC 7798 section 4.1), but FFmpeg does
not pass the mark on. For most cameras, the sizes of the payloads tell the same, and `PacketBoundaries` learns
them. If a stream has no regular sizes, or contradicts them, its units end as with FFmpeg, when the next one
begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from framelane.sources.codecs.nal_units import START_CODE, recovery_frames
from framelane.sources.ffmpeg.packet_boundaries import PacketBoundaries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.sources.codecs.nal_units import NalSyntax

_MOST_BYTES = 16 << 20


class AccessUnit(NamedTuple):
    """A picture as a decoder takes it.

    Attributes:
        data: all its NAL units with start codes (Annex B).
        pts: its time stamp.
        key: whether decoding can start here.
        disposable: whether no other picture needs it.
        recovery: at a recovery point, how many more reference pictures it takes until the image is correct.
    """

    data: bytes
    pts: int | None
    key: bool
    disposable: bool
    recovery: int = 0


class AccessUnits:
    """Takes RTP payloads as FFmpeg unpacks them, and returns access units.

    A payload is one or more whole NAL units with start codes, or a piece of one. Only a first piece has a
    start code. This code runs for every packet of every camera, so it reads as few bytes as
    possible.
    """

    def __init__(self, syntax: NalSyntax) -> None:
        self._syntax = syntax
        # FFmpeg puts a start code and a NAL header, built from the fragment's header, before a first piece.
        self._boundaries = PacketBoundaries(len(START_CODE) + syntax.header_bytes)
        self._pts: int | None = None
        self._early_pts: int | None = None
        self._pieces: list[bytes] = []
        self._bytes = self._slices = self._slice_bytes = self._largest = 0
        self._key = self._needed = False
        self._recovery: int | None = None
        self._in_slice = False
        self._top_layer = 0
        # Whether the first slice was received.
        self._whole = False

    @property
    def early(self) -> bool:
        """Whether units are returned at their own last packet already."""
        return self._boundaries.known

    def feed(self, payload: bytes, pts: int | None) -> Sequence[AccessUnit]:
        """Take the next payload and return the units it completes: the previous one, its own, or none."""
        units: Sequence[AccessUnit] = ()
        if pts != self._pts:
            if self._slices:
                units = (self._take_late(),)
            # What came without a slice, such as parameter sets, belongs to the next picture.
            self._pts = pts
        starts = len(payload) > len(START_CODE) and payload.startswith(START_CODE)
        if starts:
            if self._slices and self._syntax.begins(payload, 0):
                # Two pictures with one time stamp: fields, a clock that stands still, or a clock that begins
                # at 0. In the last case, FFmpeg gives the first picture the second one's time.
                units = (self._take_late(),)
            self._enter(payload)
        else:
            self._slice_bytes += len(payload)
        size = self._boundaries.piece_size(payload, starts=starts)
        if pts == self._early_pts and pts is not None and not self._whole and (self._in_slice or not starts):
            # More of a picture that counted as complete.
            self._boundaries.refute()
        self._pieces.append(payload)
        self._bytes += len(payload)
        if self._in_slice and self._whole and self._is_complete(size):
            self._early_pts = pts
            return (*units, self._take())
        if self._bytes > _MOST_BYTES:
            self._reset()
        return units

    def flush(self) -> Sequence[AccessUnit]:
        """Return the unit that the end of the stream completes."""
        return (self._take(),) if self._slices else ()

    def _is_complete(self, size: int) -> bool:
        return self._boundaries.complete(self._slices, size, self._slice_bytes, key=self._begins)

    @property
    def _begins(self) -> bool:
        """Whether decoding can start with the picture."""
        return self._key or self._recovery is not None

    def _enter(self, payload: bytes) -> None:
        """Note the NAL units that begin in a payload: one, or several if the sender aggregated them."""
        syntax = self._syntax
        at, end = 0, len(payload) - len(START_CODE)
        while 0 <= at < end:
            start = at
            kind = syntax.kinds[payload[at + len(START_CODE)]]
            self._in_slice = kind.slice
            if kind.slice:
                if not self._slices:
                    self._whole = syntax.is_first(payload, at)
                self._largest = max(self._largest, self._slice_bytes)
                self._slices += 1
                self._key |= kind.key
                layer = syntax.layer(payload, at + len(START_CODE))
                self._top_layer = max(self._top_layer, layer)
                self._needed |= kind.reference or layer < self._top_layer
            elif kind.sei and self._recovery is None:
                self._recovery = recovery_frames(payload[at + len(START_CODE) + 1 :])
            at = payload.find(START_CODE, at + len(START_CODE))
            self._slice_bytes = (len(payload) if at < 0 else at) - start

    def _take_late(self) -> AccessUnit:
        """Return the unit that the next one ends. It is whole, so its packet sizes can be learned."""
        if self._whole:
            largest = max(self._largest, self._slice_bytes)
            self._boundaries.learn(self._slices, largest, key=self._begins)
        return self._take()

    def _take(self) -> AccessUnit:
        recovery = 0 if self._key else self._recovery or 0
        data = b"".join(self._pieces)
        unit = AccessUnit(data, self._pts, self._begins, not self._needed, recovery)
        self._reset()
        return unit

    def _reset(self) -> None:
        self._pieces = []
        self._bytes = self._slices = self._slice_bytes = self._largest = 0
        self._key = self._needed = self._in_slice = self._whole = False
        self._recovery = None
