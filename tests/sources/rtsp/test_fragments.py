"""Fragments that are read together take a short cut, and come to the same as one by one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.sources.rtsp.payloads import CODECS, TICKS, Codec, fragments, nal
from tests.sources.rtsp.scripted import frame

from framelane.sources.rtsp.fragments import NO_FRAGMENTS
from framelane.sources.rtsp.interleaved import Interleaved
from framelane.sources.rtsp.rtcp import Reports
from framelane.sources.rtsp.rtp import Reception, RtpReceiver
from framelane.sources.rtsp.sdp import VideoMedia
from framelane.sources.rtsp.units import RtpUnits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.sources.rtsp.rtp_unit import RtpUnit

    Change = Callable[[list[bytes]], list[bytes]]

SSRC = 7
CHANNEL = 4
PIECES = 12


class Counted(RtpUnits):
    """Counts payloads that have come one by one."""

    fed = 0

    def feed(self, payload: bytes, stamp: int, read_s: float, *, marked: bool) -> None:
        self.fed += 1
        super().feed(payload, stamp, read_s, marked=marked)


class Nobody:
    """Hears nothing."""

    def take_answer(self, message: bytes) -> None:
        """None comes."""

    def take_request(self, message: bytes) -> None:
        """None comes."""


def rtp(sequence: int, stamp: int, payload: bytes, *, marked: bool = False) -> bytes:
    """A packet without its frame."""
    kind = 96 | (0x80 if marked else 0)
    return (
        bytes([0x80, kind])
        + (sequence & 0xFFFF).to_bytes(2, "big")
        + stamp.to_bytes(4, "big")
        + bytes([0, 0, 0, SSRC])
        + payload
    )


def film(codec: Codec, first: int = 65_500) -> list[bytes]:
    """Packets of four pictures of many fragments; sequence numbers wrap within them."""
    packets: list[bytes] = []
    for number in range(4):
        kind = "slice" if number else "key"
        pieces = fragments(codec, nal(codec, kind, 100 * PIECES), 100)
        for index, piece in enumerate(pieces):
            last = index == len(pieces) - 1
            packets.append(rtp(first + len(packets), TICKS * number, piece, marked=last))
    return packets


def read(
    codec: Codec, packets: Sequence[bytes], together: int, *, runs: bool = True
) -> tuple[list[RtpUnit], Reception | None, int]:
    """Return the pictures, what was counted, and how many payloads came one by one: all, without runs."""
    units: list[RtpUnit] = []
    assembler = Counted(codec, units.append)
    if not runs:
        assembler.fragments = NO_FRAGMENTS
    media = VideoMedia(codec, 96, 90_000, b"", None)
    receiver = RtpReceiver(media, assembler)
    wire = Interleaved((CHANNEL, CHANNEL + 1), receiver, Reports(receiver, 90_000, 1), Nobody())
    frames = [frame(CHANNEL, packet) for packet in packets]
    for start, stop in pairwise([*range(0, len(frames), together), len(frames)]):
        wire.feed(b"".join(frames[start:stop]), 1.0)
    assembler.flush()
    return units, receiver.reception, assembler.fed


def changed(number: int, change: Callable[[bytes], bytes]) -> Change:
    """Packet `number` is another."""
    return lambda packets: [*packets[:number], change(packets[number]), *packets[number + 1 :]]


CHANGES: dict[str, Change] = {
    "nothing": lambda packets: packets,
    "one lost": lambda packets: [*packets[:5], *packets[6:]],
    "some lost": lambda packets: [*packets[:5], *packets[9:]],
    "the first one lost": lambda packets: [*packets[:PIECES], *packets[PIECES + 1 :]],
    "the last one lost": lambda packets: [*packets[: PIECES - 1], *packets[PIECES:]],
    "one twice": lambda packets: [*packets[:5], packets[4], *packets[5:]],
    "two the wrong way round": lambda packets: [*packets[:5], packets[6], packets[5], *packets[7:]],
    "another time stamp": changed(5, lambda one: one[:4] + (99).to_bytes(4, "big") + one[8:]),
    "another source": changed(5, lambda one: one[:8] + bytes(4) + one[12:]),
    "another type": changed(5, lambda one: bytes([one[0], 97]) + one[2:]),
    "a mark": changed(5, lambda one: bytes([one[0], one[1] | 0x80]) + one[2:]),
    "padding": changed(5, lambda one: bytes([0xA0]) + one[1:] + b"\x00\x00\x03"),
    "an extension": changed(5, lambda one: bytes([0x90]) + one[1:12] + b"\xbe\xde\x00\x01abcd" + one[12:]),
    "nothing in it": changed(5, lambda one: one[:12]),
    "no fragment in it": changed(5, lambda one: one[:14]),
    "less than a header": changed(5, lambda one: one[:7]),
    "an end too early": changed(5, lambda one: one[:13] + bytes([one[13] | 0x40]) + one[14:]),
    "a second begin": changed(5, lambda one: one[:13] + bytes([one[13] | 0x80]) + one[14:]),
    "a whole NAL unit": changed(5, lambda one: one[:12] + b"\x41\x9a" + one[14:]),
    "another NAL unit's begin": changed(5, lambda one: one[:12] + b"\x7c\x85" + one[14:]),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("change", CHANGES)
def test_fragments_come_to_the_same_together_and_one_by_one(codec: Codec, change: str) -> None:
    packets = CHANGES[change](film(codec))
    alone, counted_alone, fed_alone = read(codec, packets, 1, runs=False)
    for together in (1, 2, 5, len(packets)):
        units, counted, fed = read(codec, packets, together)
        assert [one._replace(extradata=b"") for one in units] == [
            one._replace(extradata=b"") for one in alone
        ]
        assert counted == counted_alone
        assert fed < fed_alone


@pytest.mark.parametrize("codec", CODECS)
def test_only_the_first_packet_of_a_source_is_taken_by_itself(codec: Codec) -> None:
    packets = film(codec)
    assert read(codec, packets, len(packets))[2] == 1


@pytest.mark.parametrize("codec", CODECS)
def test_a_unit_that_never_ends_is_bounded_on_the_short_cut(codec: Codec) -> None:
    first, further, *_ = fragments(codec, nal(codec, "key", 3 * 60_000), 60_000)
    packets = [rtp(number, 0, first if number == 0 else further) for number in range(600)]
    units, _, _ = read(codec, [*packets, *(one for one in film(codec, 600)[PIECES:])], 100)
    assert [one.whole for one in units] == [False, True, True]
    assert sum(len(one.data) for one in units) < 1 << 20
