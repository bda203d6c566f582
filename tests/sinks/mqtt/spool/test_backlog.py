from __future__ import annotations

import pytest
from tests.sinks.examples import FakeClock, detections

from framelane.messages.detections import as_replayed
from framelane.sinks.mqtt.spool.backlog import Backlog, Entry

CAPACITY = 10


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backlog(clock: FakeClock) -> Backlog:
    return Backlog(CAPACITY, clock)


def seq_of(entry: Entry | None) -> int:
    assert entry is not None
    return int(entry.message.payload.partition(b'"seq":')[2].partition(b",")[0])


def append(backlog: Backlog, *seqs: int) -> None:
    for seq in seqs:
        backlog.append(detections(seq))


def taken(backlog: Backlog) -> list[Entry]:
    entries = []
    while (entry := backlog.take()) is not None:
        entries.append(entry)
    return entries


def write_all(backlog: Backlog, first_row: int = 1) -> list[Entry]:
    """What the spool's thread does with all that is in memory."""
    entries = backlog.unwritten(float("inf"))
    backlog.wrote(entries, first_row)
    return entries


def read_all(backlog: Backlog, entries: list[Entry]) -> None:
    """What it reads ahead, from a disk that holds these."""
    gap = backlog.gap()
    assert gap is not None
    rows = [(entry.row or 0, entry) for entry in entries if (entry.row or 0) > gap.row]
    read = [Entry(as_replayed(entry.message), entry.at, row=row) for row, entry in rows[: gap.most]]
    backlog.read(gap, read, read[-1].row or 0 if read else gap.row)


def test_backlog_gives_new_messages_first_and_replays_every_fourth(backlog: Backlog) -> None:
    append(backlog, *range(1, 6))
    read_all(backlog, write_all(backlog))
    append(backlog, *range(6, 12))
    entries = taken(backlog)
    replayed = [entry.message.payload.endswith(b'"replayed":true}') for entry in entries]
    assert [seq_of(entry) for entry in entries] == [6, 7, 8, 1, 9, 10, 11, 2, 3, 4, 5]
    assert replayed == [False, False, False, True, False, False, False, True, True, True, True]


def test_backlog_takes_what_goes_to_disk_out_of_memory(backlog: Backlog, clock: FakeClock) -> None:
    append(backlog, 1, 2)
    clock.advance(1.0)
    append(backlog, 3)
    old = backlog.unwritten(clock.monotonic() - 0.5)
    assert [seq_of(entry) for entry in old] == [1, 2]
    backlog.wrote(old, 7)
    assert [entry.row for entry in old] == [7, 8]
    assert (len(backlog), backlog.on_disk(), backlog.in_memory()) == (3, 2, 1)
    assert [seq_of(entry) for entry in taken(backlog)] == [3]


def test_backlog_gives_what_is_being_written(backlog: Backlog) -> None:
    append(backlog, 1, 2)
    writing = backlog.unwritten(float("inf"))
    append(backlog, 3)
    assert [seq_of(entry) for entry in taken(backlog)] == [1, 2, 3]
    backlog.wrote(writing, 1)
    assert (len(backlog), backlog.in_memory()) == (3, 1)
    backlog.rewind()
    assert [seq_of(entry) for entry in taken(backlog)] == [3]


def test_backlog_deletes_what_was_dropped_while_it_was_written(backlog: Backlog) -> None:
    append(backlog, *range(1, 9))
    writing = backlog.unwritten(float("inf"))
    append(backlog, *range(9, 14))
    backlog.wrote(writing, 1)
    assert backlog.dropped == {"queue": 3}
    assert backlog.deletable() == [1, 2, 3]
    assert len(backlog) == 10


def test_backlog_drops_the_oldest_when_the_disk_is_slow(backlog: Backlog) -> None:
    append(backlog, *range(1, 14))
    assert backlog.dropped == {"queue": 3}
    assert backlog.full
    assert [seq_of(entry) for entry in taken(backlog)] == list(range(4, 14))


def test_backlog_deletes_what_is_acknowledged_while_it_is_written(backlog: Backlog) -> None:
    append(backlog, 1, 2)
    flying = taken(backlog)
    assert flying == backlog.unwritten(float("inf"))
    backlog.settle(flying[0])
    backlog.wrote(flying, 5)
    assert backlog.deletable() == [5]
    assert len(backlog) == 1
    backlog.deleted([5], 1)
    assert (len(backlog), backlog.deletable()) == (1, [])


def test_backlog_replays_what_was_in_flight_and_on_disk_when_the_connection_ends(backlog: Backlog) -> None:
    append(backlog, 1, 2, 3)
    flying = taken(backlog)
    write_all(backlog)
    assert backlog.gap() is not None
    read_all(backlog, flying)
    assert backlog.waiting() == 0  # it is in flight, and not sent twice at once
    backlog.settle(flying[1])
    append(backlog, 4)
    backlog.rewind()
    read_all(backlog, flying)
    assert [seq_of(entry) for entry in taken(backlog)] == [4, 1, 3]


def test_backlog_writes_once_what_was_rewound_while_it_was_written(backlog: Backlog) -> None:
    append(backlog, 1, 2, 3)
    first = backlog.take()
    assert first is not None
    writing = backlog.unwritten(float("inf"))
    backlog.rewind()
    backlog.wrote(writing, 1)
    assert (len(backlog), backlog.in_memory()) == (3, 0)
    read_all(backlog, writing)
    assert [seq_of(entry) for entry in taken(backlog)] == [1, 2, 3]


def test_backlog_refuses_what_was_read_before_a_rewind(backlog: Backlog) -> None:
    append(backlog, 1)
    entries = write_all(backlog)
    gap = backlog.gap()
    assert gap is not None
    backlog.rewind()
    assert not backlog.read(gap, entries, 1)
    assert backlog.waiting() == 0


@pytest.mark.parametrize("flying", [False, True])
def test_backlog_keeps_what_it_has_read_when_the_disk_is_lost(backlog: Backlog, *, flying: bool) -> None:
    append(backlog, *range(1, 6))
    entries = write_all(backlog)
    read_all(backlog, entries[:3])
    if flying:
        backlog.take()
    assert backlog.lost_disk("corrupt") == 2
    assert backlog.dropped == {"corrupt": 2}
    backlog.rewind()
    assert [seq_of(entry) for entry in taken(backlog)] == [1, 2, 3]
    assert (len(backlog), backlog.on_disk()) == (3, 0)


def test_backlog_counts_as_lost_what_nobody_has_yet(backlog: Backlog) -> None:
    append(backlog, *range(1, 6))
    entries = write_all(backlog)
    read_all(backlog, entries[:3])
    first, second = backlog.take(), backlog.take()
    assert first is not None
    assert second is not None
    backlog.settle(first)
    assert backlog.gave_up([1, 2, 3, 4], "size") == 2  # 1 is delivered, 2 in flight
    assert backlog.dropped == {"size": 2}
    backlog.rewind()  # 2 is lost now
    assert backlog.dropped == {"size": 3}
    assert taken(backlog) == []
    assert len(backlog) == 1


def test_backlog_leaves_out_what_has_expired(clock: FakeClock) -> None:
    backlog = Backlog(CAPACITY, clock, expiry_s=10.0)
    append(backlog, 1)
    clock.advance(6.0)
    append(backlog, 2)
    clock.advance(6.0)
    assert [seq_of(entry) for entry in taken(backlog)] == [2]
    assert backlog.dropped == {"expired": 1}


def test_backlog_nudges_when_memory_fills_up(backlog: Backlog) -> None:
    nudged: list[int] = []
    backlog.nudge = lambda: nudged.append(len(backlog))
    append(backlog, *range(1, CAPACITY + 3))
    assert nudged == [CAPACITY // 2]
    assert backlog.pressed
