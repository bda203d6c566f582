"""Learns how a stream's sender cuts pictures into packets, which tells a picture's last packet from the others.

Senders cut a NAL unit into pieces of one size and a shorter last one, and encoders cut each picture into the same
number of slices. Both are learnt before they are relied on, for a picture that is ended too early is a damaged one.

Without RTP's marker these remain a picture late: a last piece of full size; the first two key pictures; a slice larger
than all before it; and everything of an encoder that cuts slices by size, or differently in key pictures, and of a
sender whose pieces have no common size. A sender that cuts evenly enough to pass for one of the others, or an encoder
that begins to cut by size later on, costs one damaged picture; from there on nothing of that connection is early.
"""

from __future__ import annotations

_PICTURES_TO_LEARN = 6
_KEYS_FOR_KEYS = 2
_ODD_ONES = 2
_SHORT = 0.9


class CuttingHabits:
    """What is known of one connection.

    Args:
        first_piece_extra: bytes that FFmpeg puts before the first piece of a NAL unit.
    """

    def __init__(self, first_piece_extra: int) -> None:
        self._first_piece_extra = first_piece_extra
        self._slices = 0
        self._pictures = 0
        self._keys = 0
        self._odd_slices = self._odd_ones = 0
        self._largest = 0
        self._piece = 0
        self._last_size = 0
        self._in_pieces = False
        self._proven = False
        self._refuted = False

    @property
    def known(self) -> bool:
        """Whether pictures have been alike for long enough.

        That is for a key picture and a handful of others. A size of pieces counts once a last piece was clearly
        shorter: a sender that divides evenly has another size for each NAL unit, which shows only later.
        """
        learnt = self._pictures >= _PICTURES_TO_LEARN and self._keys > 0
        return learnt and not self._refuted and (self._proven or not self._piece)

    def piece_size(self, payload: bytes, *, starts: bool) -> int:
        """Bytes of NAL unit in this piece; checks that all pieces of a NAL unit but its last have one size.

        Another size starts the learning anew: it may be the sender's habit, or a packet lost on the way.
        """
        if starts:
            if self._in_pieces:
                self._proven |= self._last_size < _SHORT * self._piece
                self._in_pieces = False
            self._last_size = len(payload) - self._first_piece_extra
            return self._last_size
        if not self._piece:
            self._piece = self._last_size
        elif self._last_size != self._piece:
            self._piece = self._pictures = self._keys = 0
            self._proven = False
        self._in_pieces = self._piece > 0
        self._last_size = len(payload)
        return self._last_size

    def learn(self, slices: int, largest: int, *, key: bool) -> None:
        """Note a whole picture; another number of slices, twice in a row, starts the learning anew.

        Args:
            slices: how many it has.
            largest: bytes of its largest one.
            key: whether decoding can start with it.
        """
        if slices != self._slices:
            self._pictures = 0
            self._odd_ones = self._odd_ones + 1 if slices == self._odd_slices else 1
            self._odd_slices = slices
            if self._slices and self._odd_ones < _ODD_ONES:
                return
            self._slices, self._keys, self._largest = slices, 0, 0
        self._odd_ones = 0
        self._pictures += 1
        self._keys += key
        self._largest = max(self._largest, largest)

    def complete(self, slices: int, size: int, slice_bytes: int, *, key: bool) -> bool:
        """Whether a piece is its picture's last.

        An encoder that cuts slices by size cuts none while its pictures are small: hence only what is no larger than
        a slice that was whole.

        Args:
            slices: which of the picture's slices it belongs to, from 1.
            size: its bytes.
            slice_bytes: the slice's bytes so far.
            key: whether decoding can start with the picture.
        """
        return (
            slices == self._slices
            and self.known
            and (not self._piece or size < self._piece)
            and slice_bytes <= self._largest
            and (not key or self._keys >= _KEYS_FOR_KEYS)
        )

    def refute(self) -> None:
        """Never rely on the habits again."""
        self._refuted = True
