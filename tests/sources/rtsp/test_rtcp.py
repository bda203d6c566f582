"""The camera's clock out of sender reports, and what our own reports say, field by field."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framelane.demo.rtsp.clock import CameraClock, sender_report
from framelane.sources.rtsp.rtcp import Reports, unix_of
from framelane.sources.rtsp.rtp import Reception

if TYPE_CHECKING:
    from framelane.sources.rtsp.rtp import RtpReceiver

UNIX_S = 1_700_000_000
NTP_OF_1970 = 2_208_988_800
OURS, CAMERAS = 0x0A0B0C0D, 0x01020304
RATE = 90_000


def ntp(unix_s: float) -> int:
    return (round(unix_s * 65_536) + (NTP_OF_1970 << 16) << 16) & 0xFFFFFFFFFFFFFFFF


def report(stamp: int, time: int, *, blocks: int = 0) -> bytes:
    """A sender report, with blocks about what it receives."""
    body = struct.pack(">IQIII", CAMERAS, time, stamp & 0xFFFFFFFF, 10, 1000) + bytes(24 * blocks)
    return struct.pack(">BBH", 0x80 | blocks, 200, len(body) // 4) + body


def other(kind: int, words: int = 1) -> bytes:
    """Another packet: 201 receives, 202 describes, 203 says goodbye, 204 is an application's."""
    return struct.pack(">BBH", 0x81, kind, words) + bytes(4 * words)


class Counts:
    """What has come of a source, as a test says."""

    def __init__(self) -> None:
        self.reception: Reception | None = None
        self.sources = 0
        self.farewells = 0

    @property
    def source(self) -> int | None:
        return None if self.reception is None else self.reception.source

    def goodbye(self) -> None:
        self.farewells += 1

    def own_stamp(self, stamp: int) -> int:
        return stamp


def answered(
    taken: Reports,
    highest: int,
    expected: int,
    received: int,
    now_s: float,
    jitter: int = 0,
    source: int = CAMERAS,
) -> bytes:
    """Our report once so much has come."""
    counts = cast("Counts", taken._receiver)
    counts.reception = Reception(source, highest, expected, received, jitter)
    return taken.answer(now_s)


def reports(*packets: bytes, read_s: float = 50.0) -> Reports:
    taken = Reports(cast("RtpReceiver", Counts()), RATE, OURS)
    for packet in packets:
        taken.take(packet, read_s)
    return taken


def test_nothing_is_known_before_the_first_report() -> None:
    assert reports().captured_at(0) is None


@pytest.mark.parametrize("report_stamp", [0, 1000, 2**31, 2**32 - 1, 2**32 - 45_000])
@pytest.mark.parametrize("ticks", [-90_000 * 3600, -1, 0, 1, 45_000, 90_000 * 3600])
def test_pictures_are_timed_before_and_after_a_report_and_over_the_wrap(
    report_stamp: int, ticks: int
) -> None:
    taken = reports(report(report_stamp, ntp(UNIX_S + 0.5)))
    captured_at = taken.captured_at((report_stamp + ticks) & 0xFFFFFFFF)
    assert captured_at == pytest.approx(UNIX_S + 0.5 + ticks / RATE, abs=1e-5)


def test_the_last_report_counts() -> None:
    taken = reports(report(0, ntp(UNIX_S)), report(90_000, ntp(UNIX_S + 7)))
    assert taken.captured_at(90_000) == UNIX_S + 7


@pytest.mark.parametrize(
    ("time", "unix_s"),
    [
        (NTP_OF_1970 << 32, 0.0),
        ((2**32 - 1) << 32, 2**32 - 1 - NTP_OF_1970),  # 7 February 2036, 6:28:15
        (0, 2**32 - NTP_OF_1970),
        ((5 << 32) + (1 << 31), 2**32 - NTP_OF_1970 + 5.5),
        ((1 << 63) - (1 << 32), 2**32 + 2**31 - 1 - NTP_OF_1970),
        (1 << 63, 2**31 - NTP_OF_1970),  # 20 January 1968
    ],
)
def test_ntp_goes_on_in_the_next_era(time: int, unix_s: float) -> None:
    assert unix_of(time) == unix_s


def test_pictures_are_timed_in_the_next_era() -> None:
    taken = reports(report(100, ntp(2**32 - NTP_OF_1970 + 60)))
    assert taken.captured_at(100) == 2**32 - NTP_OF_1970 + 60


def test_a_camera_that_has_no_clock_says_nothing_of_the_time() -> None:
    """RFC 3550 section 6.4.1: it may set the NTP time to zero."""
    taken = reports(report(100, 0))
    assert taken.captured_at(100) is None
    assert decoded(answered(taken, 0, 0, 0, 60.0)).last_report == 0
    taken.take(report(100, ntp(UNIX_S)), 50.0)
    taken.take(report(90_100, 0), 51.0)
    assert taken.captured_at(90_100) == UNIX_S + 1


GOOD = report(100, ntp(UNIX_S))


@pytest.mark.parametrize(
    "packet",
    [
        GOOD,
        report(100, ntp(UNIX_S), blocks=3),
        other(201) + GOOD,
        other(202, 4) + GOOD + other(203),
        GOOD + b"\x81",
        GOOD + b"\x81\xca\xff\xff",  # longer than there is
        GOOD + b"\x00" * 8,  # another version
        GOOD[:2] + b"\xff\xff" + GOOD[4:],
    ],
)
def test_a_report_is_found_in_a_compound_packet(packet: bytes) -> None:
    assert reports(packet).captured_at(100) == UNIX_S


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80",
        GOOD[:3],
        GOOD[:4],
        GOOD[:19],
        b"\x40" + GOOD[1:],
        other(201, 9) + GOOD[:12],
        other(201, 6),
    ],
)
def test_a_damaged_report_is_passed_over(packet: bytes) -> None:
    assert reports(packet).captured_at(100) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_passed_over(packet: bytes) -> None:
    taken = reports(GOOD, packet, GOOD)
    assert taken.captured_at(100) == UNIX_S


def test_reports_of_the_embedded_camera_are_read() -> None:
    clock = CameraClock(0.0, 12_345)
    taken = reports(sender_report(clock, CAMERAS, 1, 2))
    assert taken.captured_at(clock.rtp(10.0)) == pytest.approx(clock.wall(10.0), abs=0.01)


class Answer(NamedTuple):
    """Our report (RFC 3550 sections 6.4.2 and 6.5)."""

    source: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


def decoded(data: bytes) -> Answer:
    first, kind, words, ssrc = struct.unpack_from(">BBHI", data)
    assert (first, kind, words, ssrc) == (0x81, 201, 7, OURS)
    source, loss, highest, jitter, last, delay = struct.unpack_from(">IIIIII", data, 8)
    first, kind, words, ssrc, item, size = struct.unpack_from(">BBHIBB", data, 32)
    assert (first, kind, 32 + 4 * (words + 1), ssrc, item) == (0x81, 202, len(data), OURS, 1)
    name, end = data[42 : 42 + size], data[42 + size :]
    assert (name, end) == (b"framelane", bytes(len(end)))
    assert len(end) >= 1
    return Answer(source, loss >> 24, loss & 0xFFFFFF, highest, jitter, last, delay)


def test_our_report_repeats_the_cameras_and_tells_how_long_ago_it_came() -> None:
    taken = reports(report(0, 0x0123456789ABCDEF), read_s=50.0)
    answer = decoded(answered(taken, 0x10005, 10, 10, 52.5))
    assert answer == Answer(CAMERAS, 0, 0, 0x10005, 0, 0x456789AB, round(2.5 * 65_536))


def test_our_report_says_nothing_of_the_cameras_when_there_is_none() -> None:
    assert decoded(answered(reports(), 7, 8, 8, 1e6)) == Answer(CAMERAS, 0, 0, 7, 0, 0, 0)


def test_our_report_counts_losses_since_the_last_one_and_in_all() -> None:
    taken = reports(GOOD)
    counted = []
    for expected, received in [(100, 100), (200, 150), (300, 250), (300, 250), (400, 250), (404, 253)]:
        answer = decoded(answered(taken, expected, expected, received, 60.0))
        counted.append((answer.fraction_lost, answer.lost))
    assert counted == [(0, 0), (128, 50), (0, 50), (0, 50), (255, 150), (64, 151)]


def test_our_report_tells_no_negative_loss() -> None:
    """More have come than should have: some came twice. RFC 3550 lets the sum be negative, which few expect."""
    answer = decoded(answered(reports(GOOD), 10, 10, 12, 60.0))
    assert (answer.fraction_lost, answer.lost) == (0, 0)


def test_our_report_counts_no_more_losses_than_its_field_holds() -> None:
    answer = decoded(answered(reports(GOOD), 0x1_0000_0005, 1 << 30, 0, 60.0))
    assert (answer.fraction_lost, answer.lost, answer.highest) == (255, 0x7FFFFF, 5)


def test_our_report_is_about_nobody_before_the_first_packet() -> None:
    data = reports(GOOD).answer(60.0)
    first, kind, words, ssrc = struct.unpack_from(">BBHI", data)
    assert (first, kind, words, ssrc) == (0x80, 201, 1, OURS)
    assert data[8:10] == b"\x81\xca"


def test_our_report_tells_source_and_jitter_of_the_packets() -> None:
    found = decoded(answered(reports(), 7, 8, 8, 60.0, jitter=345, source=99))
    assert (found.source, found.jitter) == (99, 345)


def goodbye(source: int, sources: int = 1) -> bytes:
    return struct.pack(">BBHI", 0x80 | sources, 203, 1, source)


@pytest.mark.parametrize(
    ("packet", "count"),
    [
        (goodbye(CAMERAS), 1),
        (GOOD + goodbye(CAMERAS), 1),
        (goodbye(OURS), 0),
        (goodbye(CAMERAS, sources=0), 0),
        (goodbye(CAMERAS)[:6], 0),
    ],
)
def test_the_source_is_told_to_have_said_goodbye(packet: bytes, count: int) -> None:
    taken = reports()
    counts = cast("Counts", taken._receiver)
    taken.take(goodbye(CAMERAS), 1.0)
    assert counts.farewells == 0
    counts.reception = Reception(CAMERAS, 1, 1, 1, 0)
    taken.take(packet, 1.0)
    assert counts.farewells == count


def test_reports_of_another_source_count_until_one_of_the_packets_own_comes() -> None:
    taken = reports(report(100, ntp(UNIX_S)))
    counts = cast("Counts", taken._receiver)
    counts.reception, counts.sources = Reception(99, 1, 1, 1, 0), 1
    assert taken.captured_at(100) == UNIX_S
    own = struct.pack(">BBHIQIII", 0x80, 200, 6, 99, ntp(UNIX_S + 5), 100, 1, 1)
    taken.take(own, 51.0)
    taken.take(report(100, ntp(UNIX_S + 9)), 52.0)
    assert taken.captured_at(100) == UNIX_S + 5


def test_what_is_known_of_a_source_says_nothing_of_the_next() -> None:
    taken = reports()
    counts = cast("Counts", taken._receiver)
    counts.reception, counts.sources = Reception(CAMERAS, 500, 400, 300, 0), 1
    taken.take(GOOD, 50.0)
    assert decoded(taken.answer(60.0)).lost == 100
    counts.reception, counts.sources = Reception(99, 5, 4, 2, 0), 2
    assert taken.captured_at(100) is None
    assert decoded(taken.answer(60.0)) == Answer(99, 128, 2, 5, 0, 0, 0)
