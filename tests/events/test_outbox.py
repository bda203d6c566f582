from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.sinks.examples import FakeClock

from framelane.events.outbox import Entry, Outbox
from framelane.messages.detections import Message

if TYPE_CHECKING:
    from collections.abc import Sequence


class Disk:
    """Rows as a file keeps them, and an outbox over them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.outbox = Outbox(self.clock)
        self.rows: dict[int, Entry] = {}
        self.next_row = 1
        self.outbox.opened(0, 1)

    def entries(self, numbers: Sequence[int]) -> list[Entry]:
        return [Entry(message(number), self.clock.wall()) for number in numbers]

    def add(self, *numbers: int) -> None:
        entries = self.entries(numbers)
        self.outbox.add(entries, self._store(entries))

    def hold(self, *numbers: int) -> None:
        self.outbox.hold(self.entries(numbers))

    def write_loose(self, most: int = 100) -> None:
        while entries := self.outbox.loose(most):
            self.outbox.wrote(entries, self._store(entries))

    def tidy(self) -> None:
        settled = self.outbox.settled()
        for row in settled:
            del self.rows[row]
        self.outbox.deleted(settled, len(self.rows))
        while (gap := self.outbox.gap()) is not None:
            rows = [row for row in sorted(self.rows) if row > gap.row][: gap.most]
            found = [replace(self.rows[row], row=row) for row in rows]
            self.outbox.read(found, rows[-1] if rows else gap.row)

    def take(self, most: int = 10_000, *, settle: bool = True) -> list[int]:
        got: list[int] = []
        while len(got) < most and (taken := self.outbox.take()) is not None:
            got.append(number_of(taken[1]))
            if settle:
                self.outbox.settle(taken[0])
        return got

    def take_all(self) -> list[int]:
        got: list[int] = []
        while some := self.take():
            got += some
            self.tidy()
        return got

    def _store(self, entries: Sequence[Entry]) -> int:
        first = self.next_row
        self.rows |= {row: replace(entry) for row, entry in enumerate(entries, first)}
        self.next_row += len(entries)
        return first


def message(number: int) -> Message:
    return Message("events", "lobby", b'{"n":%d,"replayed":false}' % number, retain=False)


def number_of(made: Message) -> int:
    return int(made.payload.split(b":")[1].split(b",")[0])


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_events_come_in_order_and_are_forgotten_when_settled(disk: Disk) -> None:
    disk.add(1, 2)
    disk.add(3)
    assert disk.outbox.waiting()
    assert disk.take() == [1, 2, 3]
    assert not disk.outbox.waiting()
    assert (len(disk.outbox), disk.outbox.settled()) == (0, [1, 2, 3])
    disk.tidy()
    assert (disk.rows, disk.outbox.settled()) == ({}, [])


def test_rewind_brings_back_what_was_not_acknowledged_as_replayed(disk: Disk) -> None:
    disk.add(1, 2, 3)
    disk.take(1)
    disk.take(1, settle=False)
    disk.outbox.rewind()
    payloads = [taken[1].payload for _ in range(2) if (taken := disk.outbox.take()) is not None]
    assert payloads == [b'{"n":2,"replayed":true}', b'{"n":3,"replayed":false}']


def test_event_that_waited_for_long_says_so(disk: Disk) -> None:
    disk.add(1)
    disk.clock.advance(6)
    taken = disk.outbox.take()
    assert taken is not None
    assert taken[1].payload.endswith(b'"replayed":true}')


def test_more_than_fits_in_memory_is_read_from_disk_in_order(disk: Disk) -> None:
    for start in range(0, 5000, 100):
        disk.add(*range(start, start + 100))
    disk.tidy()
    assert len(disk.outbox._ready) <= 1024
    assert len(disk.outbox) == 5000
    assert disk.take_all() == list(range(5000))


def test_loose_events_come_behind_those_on_disk(disk: Disk) -> None:
    disk.add(*range(2000))
    disk.hold(2000, 2001)
    assert disk.take() == []
    disk.tidy()
    assert disk.take_all() == list(range(2002))


def test_loose_events_come_at_once_if_the_disk_can_not_be_read(disk: Disk) -> None:
    disk.add(*range(2000))
    disk.outbox.closed()
    disk.hold(2000, 2001)
    assert disk.take() == [2000, 2001]
    disk.outbox.opened(len(disk.rows), disk.next_row)
    disk.tidy()
    assert disk.take_all() == list(range(2000))


def test_loose_events_that_are_written_are_neither_lost_nor_doubled(disk: Disk) -> None:
    disk.hold(1, 2, 3, 4)
    disk.take(1)
    disk.take(1, settle=False)
    disk.write_loose(2)
    assert len(disk.rows) == 3
    disk.outbox.rewind()
    assert disk.take_all() == [2, 3, 4]
    disk.tidy()
    assert disk.rows == {}


def test_loose_event_settled_while_it_is_written_is_deleted(disk: Disk) -> None:
    disk.hold(1)
    taken = disk.outbox.take()
    entries = disk.outbox.loose(10)
    first = disk._store(entries)
    assert taken is not None
    disk.outbox.settle(taken[0])
    disk.outbox.wrote(entries, first)
    disk.tidy()
    assert (disk.rows, len(disk.outbox)) == ({}, 0)


def test_too_many_loose_events_displace_the_oldest(disk: Disk) -> None:
    disk.hold(*range(10_005))
    assert disk.outbox.dropped["queue"] == 5
    assert disk.take() == list(range(5, 10_005))


def test_given_up_events_in_flight_are_lost_only_if_the_broker_does_not_take_them(disk: Disk) -> None:
    disk.add(1, 2, 3, 4)
    tickets = [taken[0] for _ in range(2) if (taken := disk.outbox.take()) is not None]
    for row in (1, 2, 3):
        del disk.rows[row]
    assert disk.outbox.gave_up([1, 2, 3], "size") == 1
    disk.outbox.settle(tickets[0])
    assert disk.outbox.loose(10) == []
    disk.outbox.rewind()
    assert disk.outbox.dropped["size"] == 2
    assert disk.take_all() == [4]


def test_lost_disk_costs_only_what_was_not_in_memory(disk: Disk) -> None:
    disk.add(*range(1500))
    disk.tidy()
    kept = len(disk.outbox._ready)
    disk.take(10, settle=False)
    assert disk.outbox.lost_disk() == 1500 - kept
    disk.rows, disk.next_row = {}, 1
    disk.outbox.opened(0, 1)
    disk.outbox.rewind()
    disk.write_loose()
    assert disk.take_all() == list(range(kept))


def test_loose_event_in_flight_that_was_written_is_not_read_again(disk: Disk) -> None:
    disk.add(*range(1000))
    disk.add(*range(1000, 1100))
    disk.take()
    disk.outbox.closed()
    disk.hold(1100)
    disk.take(settle=False)
    disk.outbox.opened(len(disk.rows), disk.next_row)
    disk.write_loose()
    disk.outbox.rewind()
    disk.tidy()
    assert sorted(disk.take_all()) == list(range(1000, 1101))


class Chaos:
    """A broker that comes and goes, and a disk that is full or can't be read at times."""

    def __init__(self, seed: int) -> None:
        self.disk = Disk()
        self.numbers = 0
        self.got: list[int] = []
        self._dice = random.Random(seed)
        self._full = self._closed = False
        self._settled: set[int] = set()

    def happen(self) -> None:
        numbers = range(self.numbers, self.numbers + self._dice.choice([1, 3, 200]))
        self.numbers = numbers.stop
        if self._full or self._closed:
            self.disk.hold(*numbers)
        else:
            self.disk.write_loose()
            self.disk.add(*numbers)

    def take(self) -> None:
        self._note(self._dice.choice([1, 10, 300]), settle=self._dice.random() < 0.8)

    def rewind(self) -> None:
        self.disk.outbox.rewind()

    def fill(self) -> None:
        self._full = not self._full

    def close(self) -> None:
        self._closed = not self._closed
        if self._closed:
            self.disk.outbox.closed()
        else:
            self.disk.outbox.opened(len(self.disk.rows), self.disk.next_row)

    def write(self) -> None:
        if not (self._full or self._closed):
            self.disk.write_loose()

    def tidy(self) -> None:
        if not self._closed:
            self.disk.tidy()

    def end(self) -> None:
        self._full, self._closed = False, True
        self.close()
        self.rewind()
        self.write()
        self.tidy()
        while self.disk.outbox.waiting():
            self._note(10_000, settle=True)
            self.tidy()

    def _note(self, most: int, *, settle: bool) -> None:
        some = self.disk.take(most, settle=settle)
        assert not self._settled & set(some), "what the broker has acknowledged comes again"
        self.got += some
        self._settled.update(some if settle else ())


READABLE = [*[Chaos.happen, Chaos.take] * 4, Chaos.rewind, Chaos.fill, Chaos.write, Chaos.tidy]


@pytest.mark.parametrize("seed", range(30))
def test_random_faults_lose_and_reorder_nothing(seed: int) -> None:
    dice, chaos = random.Random(seed), Chaos(seed)
    for _ in range(400):
        dice.choice(READABLE)(chaos)
    chaos.end()
    assert list(dict.fromkeys(chaos.got)) == list(range(chaos.numbers))
    assert (chaos.disk.rows, len(chaos.disk.outbox), chaos.disk.outbox.dropped.total()) == ({}, 0, 0)


@pytest.mark.parametrize("seed", range(30))
def test_random_faults_of_an_unreadable_disk_lose_nothing(seed: int) -> None:
    dice, chaos = random.Random(seed), Chaos(seed)
    for _ in range(400):
        dice.choice([*READABLE, Chaos.close])(chaos)
    chaos.end()
    assert set(chaos.got) == set(range(chaos.numbers))
    assert (chaos.disk.rows, len(chaos.disk.outbox), chaos.disk.outbox.dropped.total()) == ({}, 0, 0)
