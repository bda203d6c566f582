"""Datagrams in order, each once, and what waiting for a missing one costs."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.rtsp.taken import Taken

from framelane.sources.rtsp.reordering import MOST_HELD, WAIT_S, ReorderWindow

if TYPE_CHECKING:
    from collections.abc import Iterable

OURS, OTHER = 7, 8


def packet(number: int, source: int = OURS, kind: int = 96) -> bytes:
    """Whose payload is its number, before sequence numbers wrap."""
    header = struct.pack(">BBHII", 0x80, kind, number & 0xFFFF, number * 10 & 0xFFFFFFFF, source)
    return header + struct.pack(">I", number)


class Rig(Taken):
    """Takes packets, and keeps what comes out: numbers, and "lost" between them."""

    def __init__(self) -> None:
        super().__init__()
        self.window = ReorderWindow(self.receiver)

    def feed(self, payload: bytes, stamp: int, read_s: float, *, marked: bool) -> None:
        self.out.append(int.from_bytes(payload, "big"))

    def take(self, numbers: Iterable[int], at_s: float = 0.0, source: int = OURS) -> Rig:
        self.window.take_all([packet(number, source) for number in numbers], at_s)
        return self

    @property
    def received(self) -> int:
        found = self.receiver.reception
        return 0 if found is None else found.received


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 3, 2, 4], [1, 2, 3, 4]),
        ([1, 4, 3, 2, 5], [1, 2, 3, 4, 5]),
        ([1, 1, 2, 2, 1], [1, 2]),
        ([1, 3, 3, 2], [1, 2, 3]),
        ([65_534, 65_536, 65_535, 65_537], [65_534, 65_535, 65_536, 65_537]),
    ],
)
def test_packets_come_in_order_and_once(numbers: list[int], expected: list[int]) -> None:
    assert Rig().take(numbers).out == expected


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=300),
    st.sets(st.integers(1, 300)),
    st.integers(0, 70_000),
)
def test_nothing_is_lost_when_packets_are_only_overtaken(
    delays: list[int], repeated: set[int], start: int
) -> None:
    """Each is held up by so many places; some come twice."""
    order = sorted(range(1, len(delays)), key=lambda number: number + delays[number])
    numbers = [0]
    for number in order:
        numbers += [number] * (2 if number in repeated else 1)
    rig = Rig().take(start + number for number in numbers)
    assert rig.out == list(range(start, start + len(delays)))
    assert rig.received == len(numbers)
    assert rig.window.due_s is None


def test_a_missing_packet_is_waited_for_no_longer_than_its_time() -> None:
    rig = Rig().take([1, 3], 10.0)
    assert rig.window.due_s == 10.0 + WAIT_S
    rig.window.release(10.0 + WAIT_S / 2)
    assert rig.out == [1]
    rig.window.release(10.0 + WAIT_S)
    assert (rig.out, rig.window.due_s) == ([1, "lost", 3], None)
    assert rig.take([2, 4], 10.1).out == [1, "lost", 3, 4]


def test_the_next_packet_ends_the_wait_when_its_time_is_over() -> None:
    assert Rig().take([1, 3], 10.0).take([5], 10.0 + WAIT_S).out == [1, "lost", 3]


def test_each_gap_has_its_own_time() -> None:
    rig = Rig().take([1, 3], 10.0).take([5], 10.0 + WAIT_S / 2)
    rig.window.release(10.0 + WAIT_S)
    assert rig.out == [1, "lost", 3]
    assert rig.window.due_s == pytest.approx(10.0 + 1.5 * WAIT_S)
    rig.take([4], 10.0 + WAIT_S)
    assert rig.out == [1, "lost", 3, 4, 5]


def test_a_missing_packet_is_waited_for_by_no_more_than_a_few_others() -> None:
    rig = Rig().take([1]).take(range(3, 3 + MOST_HELD))
    assert rig.out == [1]
    rig.take([3 + MOST_HELD])
    assert rig.out == [1, "lost", *range(3, 4 + MOST_HELD)]


def test_all_that_is_held_comes_out_at_the_end() -> None:
    rig = Rig().take([1, 3, 6])
    rig.window.flush()
    assert rig.out == [1, "lost", 3, "lost", 6]


def test_packets_of_others_take_nobodys_place() -> None:
    """Some cameras put packets of another payload type between, with a number that they have used."""
    rig = Rig().take([1])
    rig.window.take(packet(2, kind=50), 0.0)
    rig.take([2, 3], source=OTHER, at_s=0.1)  # the first goes on where we are: it is the same by another name
    rig.take([4], at_s=0.2)
    assert rig.out == [1, 2, 3, 4]
    rig.take([90, 91], at_s=0.3, source=9)
    assert rig.take([5], at_s=0.4).out == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("beginning", [40_000, 20_000])
def test_a_camera_that_begins_again_is_followed(beginning: int) -> None:
    rig = Rig().take([30_000, 30_002]).take(range(beginning, beginning + 3))
    assert rig.out == [30_000, "lost", 30_002, "lost", *range(beginning, beginning + 3)]


def test_one_number_that_is_far_off_is_a_mistake() -> None:
    assert Rig().take([1, 2, 30_000, 3, 50_000, 4]).out == [1, 2, 3, 4]


def test_what_is_held_of_a_source_is_forgotten_with_it() -> None:
    rig = Rig().take([1, 3], 0.0).take([500, 502, 501], 5.0, source=OTHER)
    assert rig.out == [1, "lost", 500, 501, 502]


@given(st.lists(st.tuples(st.binary(max_size=40), st.floats(0, 100))))
def test_any_datagrams_are_borne(datagrams: list[tuple[bytes, float]]) -> None:
    rig = Rig().take([1])
    for data, at_s in datagrams:
        rig.window.take(data, at_s)
    rig.window.flush()
    assert rig.out[0] == 1
