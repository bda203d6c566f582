"""Arithmetic on RTP time stamps, which have 32 bits and wrap (RFC 3550 section 5.1)."""

from __future__ import annotations

_HALF, _MASK = 1 << 31, 0xFFFFFFFF


def ticks_between(earlier: int, later: int) -> int:
    """Return the ticks between two time stamps; negative if `later` is in fact the earlier one."""
    return ((later - earlier + _HALF) & _MASK) - _HALF
