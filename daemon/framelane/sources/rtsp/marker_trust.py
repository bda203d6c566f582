"""Learns whether a camera's RTP marker bits end pictures (RFC 6184 section 5.1)."""

from __future__ import annotations

_KEYS_ALONE = 2
"""Marker bits are trusted after this many key frames of one packet each: no other pictures are as large."""


class MarkerTrust:
    """Whether a stream's marker bits are trusted.

    Args:
        early: whether they may be trusted at all.
    """

    def __init__(self, *, early: bool) -> None:
        self._early = early
        self.proven = False
        """Whether marker bits were seen to end pictures and nothing else."""
        self.refuted = False
        """Whether the last meaningful picture was not marked at its end alone."""
        self._keys_alone = 0

    def learn(self, packets: int, *, right: bool, key: bool) -> None:
        """Take a picture that ended because another began.

        A picture of one packet says little: the camera may mark every packet.

        Args:
            packets: of the picture.
            right: whether its last packet, and no other, was marked.
            key: whether it is a key frame.
        """
        self._keys_alone += right and packets == 1 and key
        if not right:
            self.proven, self._keys_alone = False, 0
        elif packets > 1 or self._keys_alone >= _KEYS_ALONE:
            self.proven = self._early
        else:
            return
        self.refuted = not right

    def refute(self) -> None:
        """Trust marker bits no more: one has ended a picture that was not complete."""
        self._early = self.proven = False
        self.refuted = True
