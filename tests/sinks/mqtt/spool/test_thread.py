from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.sinks.examples import FakeClock, detections, seqs
from tests.small_disk import fill_up, small_file_system

from framelane.config.sections.spool import SpoolConfig
from framelane.sinks.mqtt.spool.backlog import Backlog
from framelane.sinks.mqtt.spool.file import SpoolFile
from framelane.sinks.mqtt.spool.location import SpoolLocation
from framelane.sinks.mqtt.spool.thread import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAPACITY = 1000
SYNC_S = 0.2


class Bench:
    """A spool that is turned by hand, on a clock that is too."""

    def __init__(self, place: SpoolLocation, expiry_s: float = 0.0, **config: Any) -> None:
        self.clock = FakeClock()
        self.backlog = Backlog(config.pop("capacity", CAPACITY), self.clock, expiry_s)
        self.troubles: list[str | None] = []
        self.arrivals = 0
        self.spool = Spool(
            SpoolConfig(sync_ms=int(SYNC_S * 1e3), **config),
            place,
            self.backlog,
            self._arrived,
            self.clock,
            expiry_s=expiry_s,
            watch=self.troubles.append,
        )

    def turn(self, after_s: float = SYNC_S) -> None:
        """One turn of the thread, as `Worker.run` does it."""
        self.clock.advance(after_s)
        self.spool.wake()
        try:
            self.spool.run_once()
        except Exception as error:  # noqa: BLE001 - as the worker's
            self.spool.failed(error)

    def put(self, *numbers: int, stream: str = "lobby") -> None:
        for seq in numbers:
            self.backlog.append(detections(seq, stream))

    def take(self, count: int = CAPACITY) -> list[int]:
        """Take and settle; the numbers."""
        payloads: list[bytes] = []
        while len(payloads) < count and (entry := self.backlog.take()) is not None:
            payloads.append(entry.message.payload)
            self.backlog.settle(entry)
        return seqs(payloads)

    def take_all(self) -> list[int]:
        """Take and settle, and have more read, until nothing is left."""
        numbers: list[int] = []
        while len(self.backlog):
            some = self.take()
            numbers += some
            before = len(self.backlog)
            self.turn()
            assert some or self.backlog.waiting() or len(self.backlog) < before, "nothing more comes"
        return numbers

    def end(self) -> None:
        self.spool.ended()

    def _arrived(self) -> None:
        self.arrivals += 1


@pytest.fixture
def place(tmp_path: Path) -> SpoolLocation:
    return SpoolLocation(tmp_path / "spool" / "gate-01")


@contextmanager
def begun(place: SpoolLocation, **config: Any) -> Iterator[Bench]:
    bench = Bench(place, **config)
    bench.turn()
    yield bench
    bench.end()


def on_disk(place: SpoolLocation) -> list[int]:
    with closing(SpoolFile(place.path, 1 << 30)) as file:
        return seqs([entry.message.payload for entry in file.read(0, 1_000_000).entries])


def test_spool_writes_what_waits_longer_than_half_of_sync_ms(place: SpoolLocation) -> None:
    with begun(place) as bench:
        bench.put(1)
        bench.turn(SYNC_S / 4)
        assert bench.spool.health.messages == 0
        bench.put(2)
        bench.turn(SYNC_S / 4)
        assert bench.spool.health.messages == 1
        bench.turn(SYNC_S / 2)
        assert (bench.spool.health.messages, bench.backlog.in_memory()) == (2, 0)


def test_spool_does_not_touch_the_disk_when_the_broker_is_quick(place: SpoolLocation) -> None:
    with begun(place) as bench:
        before = {path: path.stat().st_mtime_ns for path in place.folder.iterdir()}
        for seq in range(1, 100):
            bench.put(seq)
            assert bench.take() == [seq]
            bench.turn(SYNC_S / 4)
        assert before == {path: path.stat().st_mtime_ns for path in place.folder.iterdir()}
        assert bench.spool.health.messages == 0


def test_spool_writes_at_once_when_memory_fills_up(place: SpoolLocation) -> None:
    with begun(place, capacity=10) as bench:
        for seq in range(1, 101):
            bench.put(seq)
            bench.turn(0.0)
        assert bench.backlog.dropped.total() == 0
        assert bench.spool.health.messages > 90


def test_spool_reads_back_in_order_while_more_comes(place: SpoolLocation) -> None:
    with begun(place) as bench:
        bench.put(*range(1, 801))
        bench.turn()
        bench.put(*range(801, 1601))
        bench.turn()
        assert (len(bench.backlog), bench.backlog.in_memory()) == (1600, 0)
        assert bench.backlog.waiting() == 512  # no more than that is read ahead
        assert bench.arrivals == 1
        assert bench.take_all() == list(range(1, 1601))
        assert on_disk_after(bench, place) == []


def on_disk_after(bench: Bench, place: SpoolLocation) -> list[int]:
    bench.end()
    return on_disk(place)


def test_spool_keeps_for_the_next_start_what_was_not_delivered(place: SpoolLocation) -> None:
    with begun(place) as bench:
        bench.put(*range(1, 11))
        bench.turn()
        assert bench.take(3) == [1, 2, 3]
        flying = bench.backlog.take()
        assert flying is not None
        bench.put(11, 12)  # too young for a turn: the end writes them
    assert on_disk(place) == list(range(4, 13))
    with begun(place) as bench:
        bench.put(100)
        assert (len(bench.backlog), bench.spool.health.messages) == (10, 9)
        assert bench.take_all() == [100, *range(4, 13)]


def test_spool_drops_the_oldest_when_it_is_full(place: SpoolLocation) -> None:
    with begun(place, max_bytes="1MiB") as bench:
        for start in range(1, 6001, 100):
            bench.put(*range(start, start + 100))
            bench.turn()
        dropped = bench.backlog.dropped["size"]
        assert dropped > 1000
        assert len(bench.backlog) == 6000 - dropped
        assert bench.spool.health.disk_bytes <= 1 << 20
        assert bench.spool.health.full
        assert "the spool is full (mqtt.spool.max_bytes, 1MiB)" in str(bench.troubles)
        assert bench.take_all() == list(range(dropped + 1, 6001))
        bench.turn(61.0)
        assert bench.troubles[-1] is None


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [({"max_age_s": 60.0}, "age"), ({"expiry_s": 60.0}, "expired")],
    ids=["max_age_s", "expiry_s"],
)
def test_spool_drops_what_is_too_old(place: SpoolLocation, bounds: dict[str, float], reason: str) -> None:
    with begun(place, **bounds) as bench:
        bench.put(*range(1, 701))
        bench.turn()
        bench.put(*range(701, 1401))
        bench.turn(30.0)
        bench.put(*range(1401, 1411))
        bench.turn(31.0)
        assert bench.backlog.dropped == {reason: 1400}
        assert bench.spool.health.oldest_s == pytest.approx(31.0)
        assert bench.take_all() == list(range(1401, 1411))


def test_spool_tells_the_age_of_its_oldest(place: SpoolLocation) -> None:
    with begun(place) as bench:
        bench.put(1)
        bench.turn(5.0)
        assert bench.spool.health.oldest_s == pytest.approx(5.0)
        bench.take()
        bench.turn()
        assert bench.spool.health.oldest_s is None


def test_spool_begins_anew_when_its_file_is_damaged(place: SpoolLocation) -> None:
    with begun(place) as bench:
        bench.put(*range(1, 11))
        bench.turn()
    place.path.write_bytes(b"nothing that SQLite knows" * 500)
    with capture_logs() as logs, begun(place) as bench:
        bench.turn()
        bench.put(20)
        bench.turn()
        assert bench.spool.health.messages == 1
    (said,) = [log for log in logs if log["event"] == "spool_corrupt"]
    assert said["kept"] == str(place.folder / "main.spool.corrupt")
    assert (place.folder / "main.spool.corrupt").read_bytes().startswith(b"nothing that SQLite knows")
    assert on_disk(place) == [20]


def test_spool_counts_what_damage_costs_while_it_runs(place: SpoolLocation) -> None:
    with begun(place) as bench:
        bench.put(*range(1, 1001))
        bench.turn()
        assert bench.backlog.waiting() == 512
        assert bench.spool._file is not None
        bench.spool._file._database.rows("DROP TABLE messages")
        bench.put(1001)
        bench.turn()  # which finds it
        bench.turn()
        assert bench.backlog.dropped == {"corrupt": 488}
        assert bench.take_all() == [*range(1, 513), 1001]


def test_spool_says_so_when_another_process_has_it(place: SpoolLocation) -> None:
    place.make()
    other = SpoolFile(place.path, 1 << 30)
    with capture_logs() as logs, begun(place, capacity=5) as bench:
        bench.put(*range(1, 9))
        for _ in range(50):
            bench.turn()
        assert "do two daemons have one node.id? Give each its own" in str(bench.troubles)
        assert (bench.backlog.dropped, bench.take()) == ({"queue": 3}, [4, 5, 6, 7, 8])
        bench.put(9)
        other.close()
        for _ in range(200):
            bench.turn()
        assert bench.troubles[-1] is None
        assert bench.spool.health.messages == 1
    said = [log["event"] for log in logs if log["event"].startswith("sink_")]
    assert said == ["sink_failed", "sink_recovered"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    with small_file_system(tmp_path / "small", "2m") as folder:
        yield folder


def test_spool_falls_back_to_memory_while_the_disk_is_full(small_disk: Path) -> None:
    place = SpoolLocation(small_disk / "gate-01")
    with begun(place) as bench:
        bench.put(*range(1, 501))
        bench.turn()
        hog = small_disk / "hog"
        fill_up(hog)
        for start in range(501, 4501, 500):
            bench.put(*range(start, start + 500))
            bench.turn()
        assert len(bench.backlog) + bench.backlog.dropped["queue"] == 4500
        assert bench.backlog.in_memory() == CAPACITY
        assert "the spool can't be used" in str(bench.troubles)
        assert bench.take(8) == [3501, 3502, 3503, 1, 3504, 3505, 3506, 2]
        hog.unlink()
        for _ in range(200):
            bench.turn()
        assert bench.troubles[-1] is None
        assert bench.backlog.in_memory() == 0
        numbers = bench.take_all()
        assert numbers == sorted(numbers)
        assert numbers[-1] == 4500


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_spool_says_so_when_it_may_not_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with begun(SpoolLocation(tmp_path / "gate-01")) as bench:
        assert "let this user write there, or set mqtt.spool.folder" in str(bench.troubles)
        bench.put(1)
        assert bench.take() == [1]
    tmp_path.chmod(0o700)


def test_spool_says_so_when_its_folder_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with begun(SpoolLocation(tmp_path / "file" / "gate-01")) as bench:
        assert "Not a directory" in str(bench.troubles)
        bench.put(1)
        assert bench.take() == [1]


def orphan(place: SpoolLocation, name: str, *numbers: int) -> None:
    with begun(SpoolLocation(place.folder, name, adopts=False)) as bench:
        bench.put(*numbers, stream=name)


def test_spool_delivers_what_processes_left_that_there_are_no_more(place: SpoolLocation) -> None:
    orphan(place, "main", 1, 2)
    orphan(place, "w0", 11, 12)
    orphan(place, "w1")
    orphan(place, "w2", 31, 32)
    with begun(place) as bench:
        bench.put(3)
        numbers: list[int] = []
        for _ in range(1000):
            numbers += bench.take()
            bench.turn()
        assert numbers == [3, 1, 2, 11, 12, 31, 32]
        assert [path.name for path in place.folder.glob("*.spool")] == ["main.spool"]


def test_spool_leaves_alone_what_another_process_has_or_will_have(place: SpoolLocation) -> None:
    orphan(place, "w0", 11)
    orphan(place, "w1", 21)
    own = SpoolLocation(place.folder, others=lambda: {"w0"})
    with closing(SpoolFile(place.folder / "w1.spool", 1 << 30)), begun(own) as bench:
        for _ in range(1000):
            bench.turn()
        assert bench.take() == []
    assert on_disk(SpoolLocation(place.folder, "w0")) == [11]


def test_spool_sets_a_damaged_orphan_aside(place: SpoolLocation) -> None:
    place.make()
    (place.folder / "w0.spool").write_bytes(b"rubbish" * 1000)
    orphan(place, "w1", 21)
    with begun(place) as bench:
        for _ in range(10):
            bench.turn(31.0)
        assert bench.take() == [21]
    assert (place.folder / "w0.spool.corrupt").exists()
