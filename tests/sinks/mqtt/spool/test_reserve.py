"""The spool on a disk that others have filled: what was delivered goes, and the disk gets its space back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.sinks.mqtt.spool.test_thread import begun, on_disk
from tests.small_disk import fill_up

from framelane.sinks.mqtt.spool.location import SpoolLocation
from framelane.storage.paths import wal_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sinks.mqtt.spool.test_thread import Bench

RESULTS = 3000


def outage(bench: Bench, first: int = 1, last: int = RESULTS) -> None:
    for start in range(first, last + 1, 100):
        bench.put(*range(start, min(start + 100, last + 1)))
        bench.turn()


def taken(place: SpoolLocation) -> int:
    """Bytes of the disk that the spool has."""
    files = [path for path in (place.path, wal_of(place.path)) if path.exists()]
    return sum(path.stat().st_blocks * 512 for path in files)


@pytest.mark.parametrize("results", [50, 700, RESULTS])
def test_spool_is_emptied_and_shrinks_on_a_full_disk(disk: Path, results: int) -> None:
    place = SpoolLocation(disk / "gate-01")
    with begun(place) as bench:
        outage(bench, last=results)
        fill_up(disk / "hog")
        hog = (disk / "hog").stat().st_size
        assert sorted(bench.take_all()) == list(range(1, results + 1))
        for _ in range(5):
            bench.turn(31.0)
        assert bench.spool.health.messages == 0
        assert taken(place) < 200_000
        assert bench.troubles[-1:] in ([], [None])
        bench.put(results + 1)  # with room again
        bench.turn()
        assert bench.spool.health.messages == 1
        assert bench.take() == [results + 1]
    assert (disk / "hog").stat().st_size == hog
    assert on_disk(place) == []


def test_spool_deletes_what_is_delivered_while_nothing_can_be_written(disk: Path) -> None:
    place = SpoolLocation(disk / "gate-01")
    with begun(place, capacity=400) as bench:
        outage(bench)
        fill_up(disk / "hog")
        outage(bench, RESULTS + 1, 2 * RESULTS)
        assert "No space left on device: make room" in str(bench.troubles[-1])
        kept = bench.spool.health.messages
        delivered: list[int] = []
        while len(delivered) < 1000:
            delivered += bench.take(50)
            bench.turn()
        assert wal_of(place.path).stat().st_size <= 5 << 20
        assert bench.spool.health.messages >= kept - 1000
        bench.turn(1.1)
        bench.turn(1.1)
    left = on_disk(place)
    assert left  # and a start does not deliver again what this one has delivered
    assert not set(delivered) & set(left)
    with begun(place) as bench:
        again = bench.take_all()
    assert again == left


def test_spool_without_room_for_a_single_page_begins_anew_once_all_is_delivered(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that can't reserve space."""
    monkeypatch.setattr("framelane.storage.reserve._allocate", lambda *_: None)
    place = SpoolLocation(disk / "gate-01")
    with begun(place) as bench:
        outage(bench)
    with begun(place) as bench:
        fill_up(disk / "hog")
        assert bench.take_all() == list(range(1, RESULTS + 1))
        bench.turn(1.1)
        assert bench.spool.health.messages == 0
    assert on_disk(place) == []


def test_write_ahead_log_stays_small_however_much_is_written_at_once(tmp_path: Path) -> None:
    place = SpoolLocation(tmp_path / "gate-01")
    with begun(place, capacity=20_000) as bench:
        for start in range(1, 30_001, 10_000):
            bench.put(*range(start, start + 10_000))
            bench.turn()
            assert wal_of(place.path).stat().st_size <= 5 << 20
        assert bench.spool.health.messages == 30_000


def test_reserved_space_leaves_a_whole_database(tmp_path: Path) -> None:
    place = SpoolLocation(tmp_path / "gate-01")
    with begun(place) as bench:
        outage(bench)
        delivered = bench.take(400)
        bench.turn()
    with closing(sqlite3.connect(place.path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert [*delivered, *on_disk(place)] == list(range(1, RESULTS + 1))
