"""Puts access units together from RTP payloads, each as soon as its own last packet is in.

FFmpeg's parser ends an access unit when it sees the next one begin: a frame interval late, 40 ms at 25 frames a second.
RTP marks the last packet of a picture (RFC 6184 section 5.1, RFC 7798 section 4.1), but FFmpeg keeps that to itself.
What it hands on tells the same of most cameras, and `CuttingHabits` learns it. A stream that has no such habits, or
contradicts them, has its units ended as FFmpeg ends them, when the next begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from framelane.sources.cutting import CuttingHabits
from framelane.sources.nal_units import START_CODE, tells_of_recovery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.sources.nal_units import NalSyntax

_MOST_BYTES = 16 << 20


class AccessUnit(NamedTuple):
    """A picture as a decoder takes it.

    Attributes:
        data: all its NAL units behind start codes (Annex B).
        pts: its time stamp.
        key: decoding can start here.
        disposable: no other picture needs it.
    """

    data: bytes
    pts: int | None
    key: bool
    disposable: bool


class AccessUnits:
    """Takes RTP payloads as FFmpeg unpacks them, and gives access units.

    A payload is one or more whole NAL units behind start codes, or a piece of one, of which only the first has a start
    code. This runs for every packet of every camera, so it looks at as few bytes as it can.
    """

    def __init__(self, syntax: NalSyntax) -> None:
        self._syntax = syntax
        # FFmpeg puts a start code and a NAL header, made from the fragment's own, before a first piece.
        self._habits = CuttingHabits(len(START_CODE) + syntax.header_bytes)
        self._pts: int | None = None
        self._early_pts: int | None = None
        self._pieces: list[bytes] = []
        self._bytes = self._slices = self._slice_bytes = self._largest = 0
        self._key = self._needed = self._recovers = False
        self._in_slice = False
        self._top_layer = 0
        self._whole = False  # its first slice was there

    @property
    def early(self) -> bool:
        """Whether units are handed on at their own last packet by now."""
        return self._habits.known

    def feed(self, payload: bytes, pts: int | None) -> Sequence[AccessUnit]:
        """Take the stream's next payload; return the units that it completes: the one before it, its own, or none."""
        units: Sequence[AccessUnit] = ()
        if pts != self._pts:
            if self._slices:
                units = (self._take_late(),)
            self._pts = pts  # what came without a slice, such as parameter sets, goes with the next picture
        starts = len(payload) > len(START_CODE) and payload.startswith(START_CODE)
        if starts:
            if self._slices and self._syntax.begins(payload, 0):
                # Two pictures of one time: fields, a clock that stands still, or one that begins at 0, of which FFmpeg
                # takes the second time for the first.
                units = (self._take_late(),)
            self._enter(payload)
        else:
            self._slice_bytes += len(payload)
        size = self._habits.piece_size(payload, starts=starts)
        if pts == self._early_pts and pts is not None and not self._whole and (self._in_slice or not starts):
            self._habits.refute()  # more of a picture that was taken for complete
        self._pieces.append(payload)
        self._bytes += len(payload)
        if self._in_slice and self._whole and self._is_complete(size):
            self._early_pts = pts
            return (*units, self._take())
        if self._bytes > _MOST_BYTES:
            self._reset()
        return units

    def flush(self) -> Sequence[AccessUnit]:
        """Return what the end of the stream completes."""
        return (self._take(),) if self._slices else ()

    def _is_complete(self, size: int) -> bool:
        return self._habits.complete(self._slices, size, self._slice_bytes, key=self._key or self._recovers)

    def _enter(self, payload: bytes) -> None:
        """Note what NAL units begin in a payload: one, or several where the sender aggregated them."""
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
            elif kind.sei and not self._recovers:
                self._recovers = tells_of_recovery(payload[at + len(START_CODE) + 1 :])
            at = payload.find(START_CODE, at + len(START_CODE))
            self._slice_bytes = (len(payload) if at < 0 else at) - start

    def _take_late(self) -> AccessUnit:
        """The unit that the next one ends: whole, so that there is something to learn from it."""
        if self._whole:
            largest = max(self._largest, self._slice_bytes)
            self._habits.learn(self._slices, largest, key=self._key or self._recovers)
        return self._take()

    def _take(self) -> AccessUnit:
        unit = AccessUnit(b"".join(self._pieces), self._pts, self._key or self._recovers, not self._needed)
        self._reset()
        return unit

    def _reset(self) -> None:
        self._pieces = []
        self._bytes = self._slices = self._slice_bytes = self._largest = 0
        self._key = self._needed = self._recovers = self._in_slice = self._whole = False
