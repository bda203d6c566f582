"""Arithmetic of RTP time stamps, which have 32 bits and wrap (RFC 3550 section 5.1)."""

from __future__ import annotations

_HALF, _MASK = 1 << 31, 0xFFFFFFFF


def ticks_between(earlier: int, later: int) -> int:
    """How many ticks lie between two time stamps; negative if `later` is the earlier one after all."""
    return ((later - earlier + _HALF) & _MASK) - _HALF
