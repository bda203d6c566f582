"""Reads the bits of NAL units (H.264 7.2 and 9.1, H.265 7.2 and 9.2)."""

from __future__ import annotations

_LONGEST_CODE = 32
"""Most zeros before an Exp-Golomb code. A longer code is damaged data."""


class Bits:
    """A bit reader for a NAL unit without its header.

    All methods raise ValueError at the unit's end.

    Args:
        nal: the unit, with its header. Reading a bit costs more the longer the rest of the unit is.
        header_bytes: length of the header.
    """

    def __init__(self, nal: bytes, header_bytes: int = 1) -> None:
        # Without emulation prevention bytes.
        data = nal[header_bytes:].replace(b"\x00\x00\x03", b"\x00\x00")
        self._left = 8 * len(data)
        self._value = int.from_bytes(data, "big")

    def u(self, count: int) -> int:
        """Read an unsigned number of `count` bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the NAL unit ends here")
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """Read an unsigned Exp-Golomb code."""
        zeros = 0
        while zeros < _LONGEST_CODE and not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Read a signed Exp-Golomb code."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)
