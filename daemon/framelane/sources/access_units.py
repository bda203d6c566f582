"""Puts access units together from RTP payloads, each as soon as its own last packet is in.

FFmpeg's parser ends an access unit when it sees the next one begin: a frame interval late, 40 ms at 25 frames a second.
RTP marks the last packet of a picture (RFC 6184 section 5.1, RFC 7798 section 4.1), but FFmpeg keeps that to itself.
What it hands on tells the same: senders cut a NAL unit into pieces of one size and a shorter last one, and encoders cut
each picture into the same number of slices. Both are learnt from the stream before they are relied on. A stream that
contradicts them has its units ended as FFmpeg ends them, when the next begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    NalKind = Literal["key", "slice", "other"]

START_CODE = b"\x00\x00\x00\x01"

# FFmpeg puts a start code and one byte of NAL header, made from the fragment's own, before a first piece.
_FIRST_PIECE_EXTRA = len(START_CODE) + 1
_UNITS_TO_LEARN = 50
_KEYS_TO_LEARN = 2
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes with their times: of one RTP packet as FFmpeg unpacks it, or of a whole access unit (Annex B).

    Attributes:
        data: whole NAL units behind start codes, or a further piece of one.
        pts: time stamp in the stream's time base, None where it had none.
        camera_s: Unix time of capture by the camera's clock, or None.
        arrived_s: Unix time at which it came in; of an access unit, its first packet.
    """

    data: bytes
    pts: int | None
    camera_s: float | None
    arrived_s: float


def h264_kind(header: int) -> NalKind:
    """What a NAL unit holds, by its first byte (H.264 table 7-1); "key" is a slice of an IDR picture."""
    kind = header & 0x1F
    if kind == 5:  # noqa: PLR2004 - table 7-1
        return "key"
    return "slice" if 1 <= kind <= 4 else "other"  # noqa: PLR2004 - table 7-1


def hevc_kind(header: int) -> NalKind:
    """What a NAL unit holds, by its first byte (H.265 table 7-1); "key" is a slice of a random access picture."""
    kind = (header >> 1) & 0x3F
    if 16 <= kind <= 23:  # noqa: PLR2004 - table 7-1
        return "key"
    return "slice" if kind < 32 else "other"  # noqa: PLR2004 - table 7-1


NAL_KINDS: dict[str, Callable[[int], NalKind]] = {"h264": h264_kind, "hevc": hevc_kind}


class AccessUnits:
    """Takes payloads, gives access units: at most one before the payload's own, and its own when that is complete."""

    def __init__(self, kind_of: Callable[[int], NalKind]) -> None:
        self._kind_of = kind_of
        self._shape = _Shape()
        self._pieces: list[bytes] = []
        self._first: Payload | None = None
        self._bytes = 0
        self._slices = 0
        self._key = False
        self._in_slice = False
        self._early_pts: int | None = None

    @property
    def early(self) -> bool:
        """Whether units are handed on at their own last packet by now."""
        return self._shape.known

    def feed(self, payload: Payload) -> Iterator[Payload]:
        """Take the next payload of the stream; yield the access units that it completes."""
        if self._slices and self._first is not None and payload.pts != self._first.pts:
            self._shape.learn(self._slices, key=self._key)
            yield self._take()
        slices_before = self._slices
        self._add(payload)
        if (
            self._early_pts is not None
            and payload.pts == self._early_pts
            and (self._slices > slices_before or not _starts_nal(payload))
        ):
            self._shape.refute()  # more of a picture that was taken for complete
        if self._in_slice and self._shape.completes(self._slices, payload):
            self._early_pts = payload.pts
            yield self._take()

    def flush(self) -> Iterator[Payload]:
        """Yield what the end of the stream completes."""
        if self._slices:
            yield self._take()

    def _add(self, payload: Payload) -> None:
        if _starts_nal(payload):
            for header in _headers(payload.data):
                kind = self._kind_of(header)
                self._in_slice = kind != "other"
                self._slices += self._in_slice
                self._key |= kind == "key"
        self._shape.see(payload)
        if self._first is None or not self._slices:
            self._first = payload
        self._pieces.append(payload.data)
        self._bytes += len(payload.data)
        if self._bytes > _MOST_BYTES:
            self._reset()

    def _take(self) -> Payload:
        first = self._first
        assert first is not None  # noqa: S101 - slices are counted only where a payload was added
        unit = Payload(b"".join(self._pieces), first.pts, first.camera_s, first.arrived_s)
        self._reset()
        return unit

    def _reset(self) -> None:
        self._pieces = []
        self._first = None
        self._bytes = self._slices = 0
        self._key = self._in_slice = False


class _Shape:
    """How this stream's sender cuts pictures: slices a picture and bytes a piece."""

    def __init__(self) -> None:
        self.slices = 0
        self._piece = 0
        self._last_size = 0
        self._units = 0
        self._keys = 0
        self._refuted = False

    @property
    def known(self) -> bool:
        """Whether the stream has kept to one shape for long enough."""
        return self._units >= _UNITS_TO_LEARN and self._keys >= _KEYS_TO_LEARN and not self._refuted

    def see(self, payload: Payload) -> None:
        """Check that all pieces of a NAL unit but its last have one size."""
        size = len(payload.data)
        if _starts_nal(payload):
            self._last_size = size - _FIRST_PIECE_EXTRA
            return
        if not self._piece:
            self._piece = self._last_size
        elif self._last_size != self._piece:
            self._refuted = True
        self._last_size = size

    def learn(self, slices: int, *, key: bool) -> None:
        """Note a complete picture; another number of slices starts the learning anew."""
        if slices != self.slices:
            self.slices, self._units, self._keys = slices, 0, 0
        self._units += 1
        self._keys += key

    def completes(self, slices: int, payload: Payload) -> bool:
        """Whether this payload, in the picture's slice number `slices`, is the picture's last."""
        if not self.known or slices != self.slices:
            return False
        size = len(payload.data) - (_FIRST_PIECE_EXTRA if _starts_nal(payload) else 0)
        return not self._piece or size < self._piece

    def refute(self) -> None:
        """Never rely on the shape again."""
        self._refuted = True


def _starts_nal(payload: Payload) -> bool:
    return payload.data.startswith(START_CODE)


def _headers(data: bytes) -> Iterator[int]:
    """First bytes of the NAL units in `data`: one, or several where the sender aggregated them."""
    at = 0
    while 0 <= at < len(data) - len(START_CODE):
        yield data[at + len(START_CODE)]
        at = data.find(START_CODE, at + len(START_CODE))
