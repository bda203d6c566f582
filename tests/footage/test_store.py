from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.sinks.examples import WALL_S, FakeClock

from framelane.config.sections.media import MediaConfig
from framelane.footage import ledger, shelf
from framelane.footage.store import Limits, MediaStore, NoRoomError, Place

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1024


def limits(most_bytes: int = 1 << 30, *, most_age_s: float = 1e9, least_free: int = 0) -> Limits:
    return Limits(most_bytes, most_age_s, least_free)


def place(number: int, *, stream: str = "lobby", at: float = WALL_S, suffix: str = "jpg") -> Place:
    return Place(at, stream, str(uuid.UUID(int=number)), suffix)


def on_disk(folder: Path) -> int:
    return sum(each.stat().st_blocks * 512 for each in folder.glob("*/*/*"))


def names(folder: Path) -> list[int]:
    return sorted(uuid.UUID(each.name.partition(".")[0]).int for each in folder.glob("*/*/*.jpg"))


def age(path: Path, seconds: float) -> None:
    os.utime(path, (WALL_S - seconds, WALL_S - seconds))


def test_file_is_written_whole_under_its_day_and_stream(tmp_path: Path) -> None:
    store = MediaStore(tmp_path / "media", limits())
    path = store.write(place(1), [b"ab", b"cd"])
    assert path == tmp_path / "media" / "2026-11-22" / "lobby" / f"{uuid.UUID(int=1)}.jpg"
    assert path.read_bytes() == b"abcd"
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o077 == 0
    assert store.figures().used == on_disk(tmp_path / "media")


def test_limits_come_from_the_configuration() -> None:
    config = MediaConfig(max_bytes="1MiB", max_age_s=60, min_free_bytes="2MiB")
    assert Limits.of(config) == Limits(1 << 20, 60.0, 2 << 20)


def test_oldest_files_are_deleted_and_counted_when_bytes_run_out(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(40 * KIB))
    for number in range(30):
        # Their order on disk is that of their times, also across days and streams.
        path = store.write(
            place(number, stream="ab"[number % 2], at=WALL_S + number * 7200), [bytes(4 * KIB)]
        )
        age(path, 1000 - number)
        assert on_disk(tmp_path) <= 40 * KIB
    kept = names(tmp_path)
    assert kept == list(range(30 - len(kept), 30))
    assert len(kept) >= 9
    assert store.figures().deleted == {"size": 30 - len(kept)}


def test_file_larger_than_the_limit_is_refused_and_costs_no_other(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(16 * KIB))
    store.write(place(1), [bytes(KIB)])
    with pytest.raises(NoRoomError, match="leave no room for 20480 bytes"):
        store.write(place(2), [bytes(17 * KIB)])
    assert names(tmp_path) == [1]


def test_free_space_is_kept_by_deleting_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MediaStore(tmp_path, limits(least_free=100 * KIB))
    for number in range(3):
        age(store.write(place(number), [bytes(8 * KIB)]), 100 - number)
    real = os.statvfs

    def nearly_full(path: Path) -> os.statvfs_result:
        free = 100 * KIB + 20 * KIB - on_disk(tmp_path)
        values = list(real(path))
        values[0], values[1], values[4] = 4096, 4096, free // 4096
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", nearly_full)
    store.write(place(9), [bytes(4 * KIB)])
    assert 9 in names(tmp_path)
    assert nearly_full(tmp_path).f_bavail * 4096 >= 100 * KIB
    assert store.figures().deleted["free"] == 4 - len(names(tmp_path))


def test_nothing_is_written_when_others_fill_the_disk(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(least_free=1 << 60))
    with pytest.raises(NoRoomError):
        store.write(place(1), [b"x"])
    assert names(tmp_path) == []


def test_disk_that_others_fill_costs_no_file_if_all_files_were_not_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MediaStore(tmp_path, limits(least_free=100 * KIB))
    for number in range(10):
        age(store.write(place(number), [bytes(4 * KIB)]), 100 - number)
    real = os.statvfs

    def full(path: Path) -> os.statvfs_result:
        values = list(real(path))
        values[0], values[1], values[4] = 4096, 4096, (40 * KIB - on_disk(tmp_path)) // 4096
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", full)
    with pytest.raises(NoRoomError):
        store.write(place(10), [bytes(4 * KIB)])
    store.sweep()
    assert names(tmp_path) == list(range(10))
    assert store.figures().deleted == {}


def test_full_disk_leaves_no_part_of_a_file_and_no_wrong_count(tmp_path: Path) -> None:
    """A limit on file sizes fails like a full disk: in the middle of the file."""
    store = MediaStore(tmp_path, limits())
    store.write(place(1), [b"x"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * KIB, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.write(place(2), [bytes(128 * KIB)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert [each.name for each in tmp_path.glob("*/*/*")] == [f"{uuid.UUID(int=1)}.jpg"]
    assert store.figures().used == on_disk(tmp_path)


def test_sweep_deletes_what_is_too_old_and_abandoned_and_leaves_foreign_files(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(most_age_s=500), FakeClock().wall)
    old, new = store.write(place(1, at=WALL_S - 90_000), [b"x"]), store.write(place(2), [b"x"])
    age(old, 501)
    age(new, 499)
    abandoned = new.with_name(f".{new.name}.1234.tmp")
    fresh = new.with_name(f".{new.name}.1235.tmp")
    foreign = tmp_path / "notes.txt"
    theirs = new.with_name("holiday.jpg")
    for each in (abandoned, fresh, foreign, theirs):
        each.write_bytes(b"x")
        age(each, 90_000)
    age(fresh, 1)
    store.sweep()
    left = {each.name for each in tmp_path.rglob("*") if each.is_file()} - {ledger.LEDGER}
    assert left == {new.name, fresh.name, "notes.txt", "holiday.jpg"}
    assert not old.parent.parent.exists()
    assert store.figures().deleted == {"age": 1}
    assert store.figures().used == 2 * 4096


def test_sweep_counts_again_what_a_damaged_ledger_forgot(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(40 * KIB))
    for number in range(5):
        store.write(place(number), [bytes(4 * KIB)])
    for damage in (b"", b"{", json.dumps({"used": "x", "deleted": []}).encode()):
        (tmp_path / ledger.LEDGER).write_bytes(damage)
        assert store.figures().used == 0
        store.sweep()
        assert store.figures().used == on_disk(tmp_path)


def test_sweep_of_a_folder_that_does_not_exist_does_nothing(tmp_path: Path) -> None:
    MediaStore(tmp_path / "none", limits()).sweep()
    assert not (tmp_path / "none").exists()


def _write_many(folder: Path, first: int) -> None:
    store = MediaStore(folder, limits(200 * KIB))
    for number in range(first, first + 60):
        store.write(place(number, stream=f"cam{first}"), [bytes(8 * KIB)])


def test_processes_together_never_exceed_the_limit(tmp_path: Path) -> None:
    spawned = multiprocessing.get_context("spawn")
    writers = [spawned.Process(target=_write_many, args=(tmp_path, 1000 * each)) for each in (1, 2, 3)]
    for each in writers:
        each.start()
    most, done = 0, threading.Event()
    while not done.wait(0.005):
        seen = 0
        # Nobody makes or deletes a file while we hold the lock: without it, those of different moments would be
        # summed.
        with ledger.locked(tmp_path):
            for path in tmp_path.glob("*/*/*"):
                with suppress(FileNotFoundError):  # it has got its final name
                    seen += path.stat().st_blocks * 512
        most = max(most, seen)
        if not any(each.is_alive() for each in writers):
            done.set()
    assert [each.exitcode for each in writers] == [0, 0, 0]
    assert 100 * KIB < most <= 200 * KIB
    MediaStore(tmp_path, limits()).sweep()
    assert ledger.read(tmp_path).used == on_disk(tmp_path)


@pytest.mark.parametrize(("size", "taken"), [(0, 0), (1, 4096), (4096, 4096), (4097, 8192)])
def test_size_on_disk_is_in_whole_blocks(size: int, taken: int) -> None:
    assert shelf.size_on_disk(size) == taken


def unsent(store: MediaStore) -> list[int]:
    return sorted(uuid.UUID(each.key.split("/")[2].partition(".")[0]).int for each in store.unsent.all())


def test_each_file_is_marked_for_upload_if_there_is_a_bucket(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(), uploads=True)
    store.write(place(1), [b"x"])
    store.write(place(2, suffix="mp4"), [b"x"])
    (first, second), count = store.unsent.oldest(10)
    assert {first.key, second.key} == {place(1).key, place(2, suffix="mp4").key}
    assert count == 2
    store.uploaded(first, delete=False)
    assert [each.key for each in store.unsent.all()] == [second.key]
    MediaStore(tmp_path, limits()).write(place(3), [b"x"])
    assert [each.key for each in store.unsent.all()] == [second.key]


def test_file_that_is_not_written_leaves_no_mark(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(), uploads=True)
    # A folder in its place: it can't get its name.
    (tmp_path / place(1).key).mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        store.write(place(1), [b"x"])
    assert unsent(store) == []


def test_deletion_of_a_file_before_its_upload_is_counted(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(40 * KIB), uploads=True)
    for number in range(10):
        age(store.write(place(number), [bytes(4 * KIB)]), 1000 - number)
    for waiting in store.unsent.oldest(3)[0]:
        store.uploaded(waiting, delete=False)
    for number in range(10, 20):
        age(store.write(place(number), [bytes(4 * KIB)]), 1000 - number)
    assert unsent(store) == names(tmp_path)
    figures = store.figures()
    assert figures.deleted == {"size": 20 - len(names(tmp_path))}
    assert figures.unsent == figures.deleted["size"] - 3


def test_file_deleted_during_its_upload_counts_as_uploaded(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(8 * KIB), uploads=True)
    age(store.write(place(1), [bytes(4 * KIB)]), 100)
    (waiting,), _ = store.unsent.oldest(1)
    store.write(place(2), [bytes(8 * KIB)])
    assert (names(tmp_path), store.figures().unsent) == ([2], 1)
    store.uploaded(waiting, delete=True)
    assert (names(tmp_path), store.figures().unsent) == ([2], 0)


def test_uploaded_file_is_deleted_and_counted_if_wanted(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, limits(), uploads=True)
    store.write(place(1), [bytes(5000)])
    (waiting,), _ = store.unsent.oldest(1)
    store.uploaded(waiting, delete=True)
    assert names(tmp_path) == []
    figures = store.figures()
    assert (figures.used, figures.deleted, figures.unsent) == (0, {"uploaded": 1}, 0)


def test_upload_of_a_file_that_is_gone_is_forgotten_once_none_can_come(tmp_path: Path) -> None:
    clock = FakeClock()
    store = MediaStore(tmp_path, limits(), clock.wall, uploads=True)
    for number in (1, 2):
        store.write(place(number), [b"x"]).unlink()
    store.write(place(3), [b"x"])
    for path in (tmp_path / ".unsent").iterdir():
        os.utime(path, (WALL_S, WALL_S))
    (first, second, _), _ = store.unsent.oldest(10)
    clock.advance(59)
    store.absent(first)
    store.sweep()
    assert (unsent(store), store.figures().unsent) == ([1, 2, 3], 0)
    clock.advance(2)
    store.absent(second)
    assert (len(unsent(store)), store.figures().unsent) == (2, 1)
    store.sweep()
    assert (unsent(store), store.figures().unsent) == ([3], 2)


def test_ledger_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / ledger.LEDGER).write_text('{"used": 4096, "deleted": {"age": 2}}')
    assert ledger.read(tmp_path) == ledger.Ledger(4096, {"age": 2}, 0)
