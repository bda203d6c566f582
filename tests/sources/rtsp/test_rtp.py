"""What is counted of a source's packets, and what becomes of another source's."""

from __future__ import annotations

import random
import struct

import pytest
from tests.sources.rtsp.taken import RATE, Taken

FIRST, SECOND = 0x11111111, 0x22222222


class Rig(Taken):
    """A receiver, and what it hands on: stamps, and "lost"."""

    def feed(self, payload: bytes, stamp: int, read_s: float, *, marked: bool) -> None:
        self.out.append(stamp)

    def take(self, sequence: int, stamp: int, read_s: float, source: int = FIRST) -> Rig:
        header = struct.pack(">BBHII", 0x80, 96, sequence & 0xFFFF, stamp & 0xFFFFFFFF, source)
        data = b"before" + header + b"payload" + b"behind"
        self.receiver.take(data, 6, len(data) - 6, read_s)
        return self


def jitter_of(packets: list[tuple[int, float]]) -> float:
    """RFC 3550 appendix A.8, in floating point, on stamps that do not wrap."""
    jitter, transit = 0.0, None
    for stamp, read_s in packets:
        before, transit = transit, read_s * RATE - stamp
        if before is not None:
            jitter += (abs(transit - before) - jitter) / 16
    return jitter


@pytest.mark.parametrize("start", [0, 2**32 - 90_000])
def test_jitter_is_what_the_rfc_says(start: int) -> None:
    chance = random.Random(5)
    packets = [(start + 3600 * (n // 3), n / 75 + chance.random() / 50) for n in range(200)]
    rig = Rig()
    for number, (stamp, read_s) in enumerate(packets):
        rig.take(number, stamp, read_s)
    found = rig.receiver.reception
    assert found is not None
    assert found.jitter == pytest.approx(jitter_of(packets), abs=1.0)
    assert found.jitter > 300


def test_jitter_is_nothing_when_packets_come_evenly() -> None:
    rig = Rig()
    for number in range(100):
        rig.take(number, 3600 * number, 0.04 * number)
    found = rig.receiver.reception
    assert found is not None
    assert found.jitter == 0


def test_nothing_is_known_before_the_first_packet() -> None:
    assert (Rig().receiver.reception, Rig().receiver.source) == (None, None)


def test_packets_of_an_earlier_session_are_dropped() -> None:
    rig = Rig().take(10, 0, 1.0).take(500, 7777, 1.1, SECOND).take(11, 3600, 1.2)
    assert rig.out == [0, 3600]
    found = rig.receiver.reception
    assert found is not None
    assert (found.source, found.received, found.expected) == (FIRST, 2, 2)


def test_a_source_that_goes_on_by_another_name_is_the_same() -> None:
    rig = Rig().take(10, 0, 1.0).take(11, 3600, 1.04, SECOND).take(12, 7200, 1.08, SECOND)
    assert rig.out == [0, 3600, 7200]
    assert rig.receiver.source == SECOND


@pytest.mark.parametrize(("goodbye", "silence_s"), [(True, 0.1), (False, 3.0)])
def test_a_source_that_is_gone_is_followed_by_another_whose_time_goes_on(
    goodbye: bool,  # noqa: FBT001
    silence_s: float,
) -> None:
    rig = Rig().take(10, 90_000, 1.0)
    if goodbye:
        rig.receiver.goodbye()
        assert rig.receiver.gone
    rig.take(60_000, 5, 1.0 + silence_s, SECOND).take(60_001, 3605, 1.04 + silence_s, SECOND)
    assert rig.out == [90_000, "lost", 90_000 + silence_s * RATE, 93_600 + silence_s * RATE]
    assert rig.receiver.own_stamp(round(90_000 + silence_s * RATE)) == 5
    found = rig.receiver.reception
    assert found is not None
    assert (found.source, found.received, found.expected, found.highest) == (SECOND, 2, 2, 60_001)
    assert not rig.receiver.gone


def test_a_source_that_says_goodbye_and_goes_on_has_not_gone() -> None:
    rig = Rig().take(10, 0, 1.0)
    rig.receiver.goodbye()
    assert not rig.take(11, 3600, 1.04).receiver.gone
