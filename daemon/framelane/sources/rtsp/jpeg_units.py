"""Builds JPEG pictures from RTP packets (RFC 2435).

Each packet holds the offset of its scan data within the picture, so a missing packet shows by itself. RTP
marks the last packet of a picture. A sender that also marks other packets, or none, is recognized by the
offset of its next packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.sources.rtsp.errors import MalformedError
from framelane.sources.rtsp.fragments import NO_FRAGMENTS
from framelane.sources.rtsp.jpeg_headers import HEADER_BYTES, JpegHeaders, header_bytes
from framelane.sources.rtsp.jpeg_segments import EOI
from framelane.sources.rtsp.rtp_unit import RtpUnit
from framelane.sources.rtsp.timestamps import ticks_between

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_BYTES = 16 << 20
"""A packet's offset has 24 bits."""
_MOST_PIECES = 1 << 16


class JpegUnits:
    """Takes one stream's RTP payloads in the order of their sequence numbers.

    Args:
        emit: called with each picture as soon as it is complete or known to be incomplete.
        early: whether the marker bit may end a picture; otherwise a picture ends when the next begins.
        size_wh: from the session description; None if unknown.
    """

    fragments = NO_FRAGMENTS

    def __init__(
        self,
        emit: Callable[[RtpUnit], None],
        *,
        early: bool = True,
        size_wh: tuple[int, int] | None = None,
    ) -> None:
        self._emit = emit
        self._early = early
        self._headers = JpegHeaders(size_wh)
        self.proven = False
        """Whether marker bits were seen to end pictures and nothing else."""
        self._begun = self._missing = False
        self._extension = b""
        self._stamp = self._pts = 0
        self._taken: tuple[int, int] | None = None
        """Time stamp and scan bytes of the last picture that a marker bit ended."""
        self._read_s = 0.0
        self._pieces: list[bytes] = []
        self._bytes = self._packets = 0
        self._open = self._broken = self._marked = False

    @property
    def refuted(self) -> bool:
        """Whether pictures have come without proof that the marker bit ends them."""
        return self._begun and not self.proven

    def feed_fragments(
        self, head: bytes, fragments: list[bytes], stamp: int, read_s: float, *, marked: bool
    ) -> None:
        """Do nothing; JPEG has no such packets."""

    def extension(self, data: bytes) -> None:
        """Take the RTP header extension of the next packet."""
        self._extension = data

    def feed(self, payload: bytes, stamp: int, read_s: float, *, marked: bool) -> None:
        """Take the next packet's payload.

        Args:
            payload: without RTP header and padding.
            stamp: the RTP time stamp.
            read_s: monotonic time at which the packet was read.
            marked: the RTP marker bit.
        """
        offset = int.from_bytes(payload[1:4], "big") if len(payload) >= HEADER_BYTES else None
        if self._open and (stamp != self._stamp or (offset == 0 and self._bytes)):
            self._finish(lost=self._missing)
        elif self._open:
            self._broken |= self._missing
            if self._marked and offset == self._bytes and not self._broken:
                # A marker bit came before the picture's end.
                self._early = False
        if not self._open:
            if not self._begun and offset:
                # The connection began in the middle of a picture.
                self._extension = b""
                return
            self._begin(stamp, read_s, offset)
        self._missing = False
        self._add(payload, offset)
        self._marked = marked
        if marked and self._ends():
            self._taken = self._stamp, self._bytes
            self._take()

    def lost(self) -> None:
        """Note that packets are missing before the next one."""
        self._missing = True

    def flush(self) -> None:
        """Emit the last picture: the stream has ended."""
        if self._open:
            self._finish(lost=not self._marked)

    def detach(self) -> None:
        """Emit nothing more, and drop references."""
        self._emit = _discard

    def _begin(self, stamp: int, read_s: float, offset: int | None) -> None:
        """Start a picture, or the rest of one."""
        if offset and self._taken == (stamp, offset) and not self._missing:
            # A marker bit ended this picture too early; more of it comes.
            self._early = self.proven = False
        if self._begun:
            self._pts += ticks_between(self._stamp, stamp)
        self._stamp, self._read_s = stamp, read_s
        self._begun = self._open = True
        self._headers.begin()

    def _add(self, payload: bytes, offset: int | None) -> None:
        extension, self._extension = self._extension, b""
        if extension and not self._bytes:
            self._headers.extend(extension)
        self._packets += 1
        if offset is None:
            # A packet may hold an extension only.
            self._broken |= bool(payload) or not extension
        elif offset != self._bytes:
            self._broken = True
        elif not self._broken:
            try:
                self._append(payload, header_bytes(payload) if offset else self._headers.read(payload))
            except MalformedError:
                self._broken = True
        if self._broken:
            self._pieces = []

    def _append(self, payload: bytes, at: int) -> None:
        piece = payload[at:]
        if piece:
            self._pieces.append(piece)
            self._bytes += len(piece)
        self._broken = self._bytes > _MOST_BYTES or len(self._pieces) > _MOST_PIECES

    def _ends(self) -> bool:
        """Return whether a packet's marker bit ends its picture.

        If earlier packets of the picture had no marker bit, this one is meaningful. If it is the picture's
        first packet, the camera may mark every packet, which only the next packet shows, unless the scan data
        itself ends here.
        """
        if not self._early:
            return False
        self.proven = self.proven or self._packets > 1
        return self.proven or (bool(self._pieces) and self._pieces[-1].endswith(EOI))

    def _finish(self, *, lost: bool) -> None:
        """Finish the picture because the next one begins or the stream ends."""
        if lost:
            # Its end may be among the missing packets.
            self._broken = True
        elif self._marked:
            self.proven = self._early
        self._take()

    def _take(self) -> None:
        data = b""
        if self._bytes and not self._broken:
            try:
                end = b"" if self._pieces[-1].endswith(EOI) else EOI
                data = b"".join((self._headers.build(), *self._pieces, end))
            except MalformedError:
                data = b""
        # Each JPEG is a key frame, and no other picture needs it.
        self._emit(RtpUnit(data, self._stamp, self._pts, True, True, bool(data), self._read_s))  # noqa: FBT003
        self._reset()

    def _reset(self) -> None:
        self._pieces = []
        self._bytes = self._packets = 0
        self._open = self._broken = self._marked = False


def _discard(_unit: RtpUnit) -> None:
    """Replace `emit` after detach()."""
