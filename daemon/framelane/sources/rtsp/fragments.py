"""Headers of fragmented NAL units (RFC 6184 section 5.8, RFC 7798 section 4.4.3)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.sources.codecs.parameter_sets import NalCodec

FU_A, FU = 28, 49
"""Payload types (RFC 6184 table 1, RFC 7798 section 4.4)."""
STARTS, ENDS = 0x80, 0x40
"""Bits of a header's last byte."""
_HEADS = 256


class FragmentSyntax(NamedTuple):
    """How fragments of a codec's NAL units begin.

    Attributes:
        kinds: first bytes of payloads that are fragments.
        header_bytes: length of a fragment's header, which stands for the header of the NAL unit.
    """

    kinds: frozenset[int]
    header_bytes: int


FRAGMENT_SYNTAXES: Mapping[NalCodec, FragmentSyntax] = {
    "h264": FragmentSyntax(frozenset(byte for byte in range(256) if byte & 0x1F == FU_A), 2),
    "hevc": FragmentSyntax(frozenset(byte for byte in range(256) if (byte >> 1) & 0x3F == FU), 3),
}
NO_FRAGMENTS = FragmentSyntax(frozenset(), 0)
"""For codecs without NAL units."""


@lru_cache(_HEADS)
def nal_header(head: bytes) -> bytes:
    """Return the header of the NAL unit that a fragment with this header is part of."""
    kind = head[-1] & 0x3F
    if len(head) == FRAGMENT_SYNTAXES["h264"].header_bytes:
        return bytes(((head[0] & 0xE0) | (kind & 0x1F),))
    return bytes(((head[0] & 0x81) | (kind << 1), head[1]))


@lru_cache(_HEADS)
def further_heads(head: bytes) -> tuple[bytes, bytes]:
    """Return the headers of the same NAL unit's fragments in its middle and at its end."""
    kind = head[-1] & ~(STARTS | ENDS)
    return head[:-1] + bytes((kind,)), head[:-1] + bytes((kind | ENDS,))
