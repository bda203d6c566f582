"""A connection's bytes while it plays: packets, answers and rubbish, however they are split."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sources.rtsp.payloads import nal
from tests.sources.rtsp.scripted import frame

from framelane.core.errors import SourceError
from framelane.sources.rtsp.interleaved import Interleaved
from framelane.sources.rtsp.rtcp import Reports
from framelane.sources.rtsp.rtp import RtpReceiver
from framelane.sources.rtsp.sdp import VideoMedia
from framelane.sources.rtsp.units import RtpUnits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from framelane.sources.rtsp.rtp_unit import RtpUnit

MEDIA = VideoMedia("h264", 96, 90_000, b"", None)
ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n\r\n"
LONG_ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 8\r\nContent-Length: 6\r\n\r\n$\x00$\x00\x01x"
REQUEST = (
    b"SET_PARAMETER rtsp://cam/1 RTSP/1.0\r\nCSeq: 3\r\nContent-Length: 9\r\n\r\nprice: $1"  # no frame begins
)
SENDER_REPORT = b"\x80\xc8\x00\x06" + bytes(4) + (2**63 + 2**32).to_bytes(8, "big") + bytes(12)
SLICE = nal("h264", "slice")


class Rig:
    """Reads a connection and keeps what comes of it."""

    def __init__(self, channels: tuple[int, int] | None = (2, 3)) -> None:
        self.units: list[RtpUnit] = []
        self.answers: list[bytes] = []
        self.requests: list[bytes] = []
        self.assembler = RtpUnits("h264", self.units.append, early=True)
        self.receiver = RtpReceiver(MEDIA, self.assembler)
        self.reports = Reports(self.receiver, 90_000, 1)
        self.wire = Interleaved(channels, self.receiver, self.reports, self)

    def take_answer(self, message: bytes) -> None:
        self.answers.append(message)

    def take_request(self, message: bytes) -> None:
        self.requests.append(message)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Received, highest, expected."""
        found = self.receiver.reception
        return (0, 0, 0) if found is None else (found.received, found.highest, found.expected)

    def feed(self, *chunks: bytes) -> Rig:
        for number, chunk in enumerate(chunks):
            self.wire.feed(chunk, float(number))
        return self

    def end(self) -> Rig:
        """A picture of one packet ends with the next one, or with the connection."""
        self.assembler.flush()
        return self

    @property
    def pictures(self) -> list[tuple[bytes, int, bool]]:
        return [(unit.data, unit.pts, unit.whole) for unit in self.units]


def rtp(
    sequence: int, payload: bytes = SLICE, *, flags: int = 0x80, kind: int = 96, more: bytes = b""
) -> bytes:
    """A marked packet of its own time stamp, in its frame; `more` stands between header and payload."""
    header = bytes([flags, 0x80 | kind]) + (sequence & 0xFFFF).to_bytes(2, "big")
    stamp = (sequence * 3600 & 0xFFFFFFFF).to_bytes(4, "big")
    return frame(2, header + stamp + bytes(4) + more + payload)


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


PLAYED = b"".join(
    (
        ANSWER,
        rtp(1, nal("h264", "key", 700)),
        REQUEST,
        frame(3, SENDER_REPORT),
        rtp(2),
        frame(0, b"another stream's"),
        LONG_ANSWER,
        rtp(3),
        frame(2, b""),
        b"\x00rubbish\r\n",
        rtp(4),
        rtp(6),
        rtp(7, nal("h264", "key")),
    )
)


@settings(max_examples=300)
@given(st.lists(st.integers(0, len(PLAYED)), max_size=30))
def test_the_same_comes_of_a_connection_however_it_is_split(cuts: list[int]) -> None:
    whole, rig = Rig().feed(PLAYED).end(), Rig().feed(*split(PLAYED, cuts)).end()
    assert rig.pictures == whole.pictures
    assert [unit.whole for unit in rig.units] == [True] * 3 + [False, False, True]
    assert (rig.answers, rig.requests) == ([ANSWER, LONG_ANSWER], [REQUEST])
    assert rig.counts == (6, 7, 7)
    assert rig.reports.captured_at(0) is not None


def test_the_same_comes_of_a_connection_byte_by_byte() -> None:
    rig = Rig().feed(*(PLAYED[at : at + 1] for at in range(len(PLAYED))))
    assert (rig.pictures, rig.answers) == (Rig().feed(PLAYED).pictures, [ANSWER, LONG_ANSWER])


def test_units_have_the_time_at_which_their_packet_was_whole() -> None:
    packet = rtp(1)
    rig = Rig().feed(packet[:10], packet[10:-1], packet[-1:], rtp(2)).end()
    assert [unit.read_s for unit in rig.units] == [2.0, 3.0]


EXTENSION = b"\xbe\xde\x00\x02" + bytes(8)


@pytest.mark.parametrize(
    ("flags", "more", "padding"),
    [
        (0xA0, b"", b"\x00\x00\x03"),
        (0xA0, b"", b"\x01"),
        (0x90, EXTENSION, b""),
        (0x90, b"\x00\x00\x00\x00", b""),
        (0x83, bytes(12), b""),
        (0xB2, bytes(8) + EXTENSION, bytes(4) + b"\x05"),
    ],
)
def test_payloads_lie_between_sources_extension_and_padding(flags: int, more: bytes, padding: bytes) -> None:
    rig = Rig().feed(rtp(1, SLICE + padding, flags=flags, more=more))
    rig.assembler.flush()
    assert rig.pictures == [(b"\x00\x00\x00\x01" + SLICE, 0, True)]


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80",
        b"\x80\xe0" + bytes(9),
        b"\x80\xe0" + bytes(10),  # nothing behind the header
        b"\x9f\xe0\x00\x02" + bytes(8),  # sources and an extension that aren't there
        b"\x90\xe0\x00\x02" + bytes(8) + b"\xbe\xde\xff\xff" + SLICE,  # an extension without end
        b"\xa0\xe0\x00\x02" + bytes(8) + SLICE + b"\xff",  # more padding than there is
        b"\xa0\xe0\x00\x02" + bytes(8),
    ],
)
def test_packets_that_lie_of_their_length_do_no_harm(packet: bytes) -> None:
    rig = Rig().feed(rtp(1), frame(2, packet), rtp(3), rtp(4))
    rig.assembler.flush()
    assert [unit.data for unit in rig.units] == [b"\x00\x00\x00\x01" + SLICE] * 3


@pytest.mark.parametrize(
    "foreign", [rtp(9, kind=97), rtp(9, kind=0), rtp(9, flags=0x40), frame(1, b"x"), frame(255, b"")]
)
def test_packets_of_others_count_for_nothing(foreign: bytes) -> None:
    rig = Rig().feed(rtp(1), foreign, rtp(2), foreign, rtp(3))
    assert rig.pictures == Rig().feed(rtp(1), rtp(2), rtp(3)).pictures
    assert rig.counts == (3, 3, 3)


@pytest.mark.parametrize(
    ("sequences", "highest", "expected"),
    [
        ([], 0, 0),
        ([5], 5, 1),
        ([65_535], 65_535, 1),
        ([65_534, 65_535, 0], 65_536, 3),
        ([65_534, 1], 65_537, 4),
        ([0, 65_535, 1], 1, 2),  # one that came late
        ([65_533, 65_535, 0, 65_534, 1], 65_537, 5),
        ([10, 10, 11], 11, 2),
        (list(range(0, 200_000, 20_000)), 180_000, 180_001),
    ],
)
def test_sequence_numbers_are_counted_beyond_their_wrap(
    sequences: list[int], highest: int, expected: int
) -> None:
    rig = Rig().feed(*map(rtp, sequences))
    assert rig.counts == (len(sequences), highest, expected)


def test_a_wrap_is_no_loss() -> None:
    rig = Rig().feed(*(rtp(number) for number in range(65_530, 65_542))).end()
    assert [unit.whole for unit in rig.units] == [True] * 12


@pytest.mark.parametrize("sequences", [(1, 3), (65_535, 1), (1, 2, 2), (5, 1)])
def test_any_other_step_is_a_loss(sequences: tuple[int, ...]) -> None:
    rig = Rig().feed(*map(rtp, sequences))
    rig.assembler.flush()
    assert not rig.units[-1].whole


def test_what_was_begun_is_handed_on_at_the_end() -> None:
    rig = Rig().feed(rtp(1))
    assert rig.units == []
    rig.assembler.flush()
    assert len(rig.units) == 1


def test_rubbish_is_no_stream() -> None:
    rig = Rig()
    with pytest.raises(SourceError, match="no longer sends RTSP") as caught:
        rig.feed(*[b"\xff" * 65_536] * 17)
    assert caught.value.reason == "lost"


@pytest.mark.parametrize("rubbish", [b"\x00" * 60_000, REQUEST * 600])
def test_rubbish_between_packets_is_put_up_with_for_ever(rubbish: bytes) -> None:
    rig = Rig()
    for number in range(40):
        rig.feed(rubbish, rtp(number))
    rig.end()
    assert [unit.whole for unit in rig.units] == [True] * 40


@pytest.mark.parametrize("begin", [b"RTSP/1.0 200 OK\r\n", b"OPTIONS * RTSP/1.0\r\n", b"RTSP/"])
def test_an_answer_without_end_is_bounded(begin: bytes) -> None:
    rig = Rig().feed(begin)
    with pytest.raises(SourceError, match="no longer sends RTSP"):
        rig.feed(*[b"X-More: of it\r\n" * 50] * 2000)


@given(st.lists(st.binary(max_size=80), max_size=30))
def test_any_bytes_are_passed_over(chunks: list[bytes]) -> None:
    rig = Rig().feed(*chunks)
    assert len(rig.wire._rest) <= sum(map(len, chunks))
