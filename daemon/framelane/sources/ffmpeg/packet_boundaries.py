"""Learns how a sender cuts pictures into packets, which shows a picture's last packet.

Senders cut a NAL unit into pieces of one size and a shorter last one, and encoders cut each picture into the
same number of slices. Both are learned before they are used, because a picture that is ended too early is
damaged.

Without RTP's marker, some pictures still end one picture late: those whose last piece has full size, the
first two key pictures, and those with a slice larger than all before. So does everything from an encoder that
cuts slices by size, or differently in key pictures, and from a sender whose pieces have no common size. One
damaged picture is the price of a sender that cuts too evenly to be recognized, or of an encoder that begins
to cut by size later. From then on, nothing of that connection ends early.
"""

from __future__ import annotations

_PICTURES_TO_LEARN = 6
_KEYS_FOR_KEYS = 2
_ODD_ONES = 2
_SHORT = 0.9


class PacketBoundaries:
    """What is known about one connection's packets.

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
        """Whether enough similar pictures were seen.

        That takes a key picture and a few others. A piece size counts only after a last piece was clearly
        shorter: a sender that divides evenly has another size for each NAL unit, which shows only later.
        """
        learned = self._pictures >= _PICTURES_TO_LEARN and self._keys > 0
        return learned and not self._refuted and (self._proven or not self._piece)

    def piece_size(self, payload: bytes, *, starts: bool) -> int:
        """Return the bytes of NAL unit in a piece, and check that all pieces but the last have one size.

        Another size restarts the learning. It may be the sender's usual size, or the effect of a lost packet.
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
        """Note a whole picture. Another number of slices, twice in a row, restarts the learning.

        Args:
            slices: its number of slices.
            largest: bytes of its largest slice.
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
        """Return whether a piece is its picture's last.

        An encoder that cuts slices by size does not cut small pictures. So only slices up to the size of an
        earlier whole slice count.

        Args:
            slices: the number of the piece's slice within the picture, from 1.
            size: bytes of the piece.
            slice_bytes: bytes of the slice so far.
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
        """Never rely on the learned sizes again."""
        self._refuted = True
