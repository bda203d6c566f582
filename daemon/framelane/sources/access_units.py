"""Puts access units together from RTP payloads, each as soon as its own last packet is in.

FFmpeg's parser ends an access unit when it sees the next one begin: a frame interval late, 40 ms at 25 frames a second.
RTP marks the last packet of a picture (RFC 6184 section 5.1, RFC 7798 section 4.1), but FFmpeg keeps that to itself.
What it hands on tells the same: senders cut a NAL unit into pieces of one size and a shorter last one, and encoders cut
each picture into the same number of slices. Both are learnt from the stream before they are relied on. A stream that
contradicts them has its units ended as FFmpeg ends them, when the next begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    NalKind = Literal["key", "slice", "other"]

START_CODE = b"\x00\x00\x00\x01"

_UNITS_TO_LEARN = 50
_KEYS_TO_LEARN = 2
_MOST_BYTES = 16 << 20


class AccessUnit(NamedTuple):
    """A picture as a decoder takes it: all its NAL units behind start codes (Annex B), and its time stamp."""

    data: bytes
    pts: int | None
    key: bool = False
    disposable: bool = False


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


class NalSyntax(NamedTuple):
    """How a codec begins its NAL units: what the first byte says, and how long the header is."""

    kind_of: Callable[[int], NalKind]
    header_bytes: int


NAL_SYNTAXES = {"h264": NalSyntax(h264_kind, 1), "hevc": NalSyntax(hevc_kind, 2)}


class AccessUnits:
    """Takes RTP payloads as FFmpeg unpacks them, and gives access units.

    A payload is one or more whole NAL units behind start codes, or a piece of one, of which only the first has a start
    code. This runs for every packet of every camera, so it looks at as few bytes as it can.
    """

    def __init__(self, syntax: NalSyntax) -> None:
        self._kind_of = syntax.kind_of
        # FFmpeg puts a start code and a NAL header, made from the fragment's own, before a first piece.
        self._shape = _Shape(len(START_CODE) + syntax.header_bytes)
        self._pieces: list[bytes] = []
        self._pts: int | None = None
        self._bytes = 0
        self._slices = 0
        self._key = False
        self._in_slice = False
        self._early_pts: int | None = None

    @property
    def early(self) -> bool:
        """Whether units are handed on at their own last packet by now."""
        return self._shape.known

    def feed(self, payload: bytes, pts: int | None) -> Sequence[AccessUnit]:
        """Take the stream's next payload; return the units that it completes: the one before it, its own, or none."""
        units: Sequence[AccessUnit] = ()
        if pts != self._pts:
            if self._slices:
                self._shape.learn(self._slices, key=self._key)
                units = (self._take(),)
            self._pts = pts  # what came without a slice, such as parameter sets, goes with the next picture
        starts = payload.startswith(START_CODE)
        if starts:
            self._enter(payload)
        size = self._shape.piece_size(payload, starts=starts)
        if pts == self._early_pts and pts is not None and (self._in_slice or not starts):
            self._shape.refute()  # more of a picture that was taken for complete
        self._pieces.append(payload)
        self._bytes += len(payload)
        if self._in_slice and self._shape.completes(self._slices, size):
            self._early_pts = pts
            return (*units, self._take())
        if self._bytes > _MOST_BYTES:
            self._reset()
        return units

    def flush(self) -> Sequence[AccessUnit]:
        """Return what the end of the stream completes."""
        return (self._take(),) if self._slices else ()

    def _enter(self, payload: bytes) -> None:
        """Note what NAL units begin in a payload."""
        for header in _headers(payload):
            kind = self._kind_of(header)
            self._in_slice = kind != "other"
            self._slices += self._in_slice
            self._key |= kind == "key"

    def _take(self) -> AccessUnit:
        unit = AccessUnit(b"".join(self._pieces), self._pts, self._key)
        self._reset()
        return unit

    def _reset(self) -> None:
        self._pieces = []
        self._bytes = self._slices = 0
        self._key = self._in_slice = False


class _Shape:
    """How this stream's sender cuts pictures: slices a picture and bytes a piece."""

    def __init__(self, first_piece_extra: int) -> None:
        self.slices = 0
        self._first_piece_extra = first_piece_extra
        self._piece = 0
        self._last_size = 0
        self._units = 0
        self._keys = 0
        self._refuted = False

    @property
    def known(self) -> bool:
        """Whether the stream has kept to one shape for long enough."""
        return self._units >= _UNITS_TO_LEARN and self._keys >= _KEYS_TO_LEARN and not self._refuted

    def piece_size(self, payload: bytes, *, starts: bool) -> int:
        """Bytes of NAL unit in this piece; checks that all pieces of a NAL unit but its last have one size.

        Another size starts the learning anew: it may be the sender's habit, or a packet lost on the way.
        """
        if starts:
            self._last_size = len(payload) - self._first_piece_extra
            return self._last_size
        if not self._piece:
            self._piece = self._last_size
        elif self._last_size != self._piece:
            self._piece = self._units = self._keys = 0
        self._last_size = len(payload)
        return self._last_size

    def learn(self, slices: int, *, key: bool) -> None:
        """Note a complete picture; another number of slices starts the learning anew."""
        if slices != self.slices:
            self.slices, self._units, self._keys = slices, 0, 0
        self._units += 1
        self._keys += key

    def completes(self, slices: int, size: int) -> bool:
        """Whether a piece of this size, in the picture's slice number `slices`, is the picture's last."""
        return slices == self.slices and self.known and (not self._piece or size < self._piece)

    def refute(self) -> None:
        """Never rely on the shape again."""
        self._refuted = True


def _headers(data: bytes) -> Iterator[int]:
    """First bytes of the NAL units in `data`: one, or several where the sender aggregated them."""
    at = 0
    while 0 <= at < len(data) - len(START_CODE):
        yield data[at + len(START_CODE)]
        at = data.find(START_CODE, at + len(START_CODE))
