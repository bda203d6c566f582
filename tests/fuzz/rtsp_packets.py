"""Damages RTP packets between the frames of an RTSP connection, by their structure and by their bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.fuzz.byte_damage import BYTE_DAMAGES
from tests.fuzz.rtsp_answers import BETWEEN

if TYPE_CHECKING:
    import random

    from tests.fuzz.byte_damage import Damage

_PAYLOAD_HEADS = (
    b"\x65\x88",
    b"\x41\x9a",
    b"\x67\x42",
    b"\x68\xce",
    b"\x06\x06\x01\xc4\x80",
    b"\x09\xf0",
    b"\x7c\x85",
    b"\x7c\x05",
    b"\x7c\x45",
    b"\x7c",
    b"\x78\x00\x02\x65\x88",
    b"\x78\xff\xff\x65",
    b"\x78\x00\x00\x00\x00",
    b"\x79",
    b"\x00",
    b"\x26\x01\xaf",
    b"\x02\x01\xd0",
    b"\x40\x01",
    b"\x62\x01\x93\xaf",
    b"\x62\x01\x13",
    b"\x62\x01",
    b"\x60\x01\x00\x03\x26\x01\xaf",
    b"\x60\x01\xff\xff",
    b"\x64\x01",
    b"\x06\xff\xff\xff",
    b"\x00\x00\x00\x00\x01\xff\x28\x1e\x00\x00\x00\x80",
    b"\x00\xff\xff\xff\x00\x05\x00\x00",
    b"\x00\x00\x00\x00\x41\x80\xff\xff\x00\x01\xff\xff\x00\x00\xff\xff",
)


def damaged_packet(dice: random.Random, framed: bytes) -> bytes:
    """One interleaved packet, mostly with damage; its frame is mostly right."""
    packet = dice.choice(_PACKET_DAMAGES)(dice, framed[4:])
    if not packet:
        return b""
    is_report = len(packet) > 1 and 200 <= packet[1] <= 205
    channel = int(is_report) if dice.random() < 0.95 else dice.choice((0, 1, 2, 255))
    length = len(packet) if dice.random() < 0.98 else dice.randrange(65536)
    said = b"$" + bytes([channel]) + (length & 0xFFFF).to_bytes(2, "big") + packet[:65535]
    return (
        said
        if dice.random() < 0.97
        else said + dice.choice((*BETWEEN, dice.randbytes(30), b"R", b"RTSP/1.0 200"))
    )


def _other_head(dice: random.Random, packet: bytes) -> bytes:
    """Version, padding, extension, sources, mark, type, sequence number or time stamp are others."""
    flags, kind, sequence, stamp = struct.unpack_from(">BBHI", packet)
    way = dice.randrange(6)
    flags = dice.randrange(256) if way == 0 else flags
    kind = kind ^ 0x80 if way == 1 else dice.randrange(256) if way == 2 else kind
    sequence += dice.choice((1, -1, 2, 100, 32768, 65535)) if way == 3 else 0
    stamp += dice.choice((1, -1, 3600, 1 << 31, 90_000 * 3600, (1 << 31) - 1)) if way == 4 else 0
    return struct.pack(">BBHI", flags, kind, sequence & 0xFFFF, stamp & 0xFFFFFFFF) + packet[8:]


def _other_payload(dice: random.Random, packet: bytes) -> bytes:
    head = dice.choice(_PAYLOAD_HEADS)
    return packet[:12] + head + packet[12 + len(head) : 12 + len(head) + dice.choice((0, 1, 3, 2000))]


def _extended(dice: random.Random, packet: bytes) -> bytes:
    """Contributing sources, an extension, padding, each with a size that may be wrong."""
    sources = dice.randrange(16)
    flags = 0x80 | sources | dice.choice((0, 0x10, 0x20, 0x30))
    extension = struct.pack(">HH", 0xBEDE, dice.choice((0, 1, 5, 65535))) if flags & 0x10 else b""
    padding = bytes([dice.choice((0, 1, 4, 255))]) if flags & 0x20 else b""
    return (
        bytes([flags])
        + packet[1:12]
        + bytes(4 * dice.choice((sources, 0)))
        + extension
        + packet[12:]
        + padding
    )


def _report(dice: random.Random, _packet: bytes) -> bytes:
    """RTCP, mostly on the channel of RTP, where it is none."""
    kind = dice.choice((200, 201, 202, 203, 204, 205, dice.randrange(256)))
    words = dice.choice((0, 1, 6, 12, 65535, dice.randrange(65536)))
    return struct.pack(">BBH", dice.choice((0x80, 0x81, 0x9F, 0x00)), kind, words) + dice.randbytes(
        dice.choice((0, 4, 24, 60))
    )


def _lose(_dice: random.Random, _packet: bytes) -> bytes:
    return b""


def _keep(_dice: random.Random, packet: bytes) -> bytes:
    return packet


_PACKET_DAMAGES: tuple[Damage, ...] = (
    *BYTE_DAMAGES,
    _other_head,
    _other_head,
    _other_payload,
    _other_payload,
    _extended,
    _report,
    _lose,
    _keep,
    _keep,
)
