from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from tests.sinks.examples import WALL_S, FakeClock

from framelane.footage.index import MediaIndex
from framelane.footage.store import Limits, MediaStore, Place

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400


def name(number: int) -> str:
    return str(uuid.UUID(int=number))


def store_of(folder: Path) -> MediaStore:
    return MediaStore(folder, Limits(1 << 30, 1e12, 0))


def test_files_of_any_process_are_found_as_they_come(tmp_path: Path) -> None:
    clock, store = FakeClock(), store_of(tmp_path / "media")
    index = MediaIndex(tmp_path / "media", clock.monotonic)
    assert index.find(name(0), "jpg") is None
    for number in range(5):
        at, stream = WALL_S - number * DAY_S, f"cam{number % 2}"
        path = store.write(Place(at, stream, name(number), "jpg"), [b"x"])
        clock.advance(1)
        assert index.find(name(number), "jpg") == path
        assert index.find(name(number), "mp4") is None
    clip = store.write(Place(WALL_S, "cam0", name(0), "mp4"), [b"x"])
    clock.advance(1)
    assert index.find(name(0), "mp4") == clip


def test_index_is_rebuilt_from_the_folder(tmp_path: Path) -> None:
    path = store_of(tmp_path).write(Place(WALL_S, "lobby", name(1), "jpg"), [b"x"])
    assert MediaIndex(tmp_path).find(name(1), "jpg") == path


def test_deleted_file_is_not_found(tmp_path: Path) -> None:
    path = store_of(tmp_path).write(Place(WALL_S, "lobby", name(1), "jpg"), [b"x"])
    index = MediaIndex(tmp_path, FakeClock().monotonic)
    assert index.find(name(1), "jpg") == path
    path.unlink()
    assert index.find(name(1), "jpg") is None


def test_folders_are_read_at_most_ten_times_per_second(tmp_path: Path) -> None:
    clock = FakeClock()
    index = MediaIndex(tmp_path, clock.monotonic)
    assert [index.refresh(), index.refresh()] == [True, False]
    clock.advance(0.11)
    assert index.refresh()


def test_names_that_are_no_event_find_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    store_of(tmp_path / "media").write(Place(WALL_S, "lobby", name(1), "jpg"), [b"x"])
    index = MediaIndex(tmp_path / "media")
    assert [index.find(each, "jpg") for each in ("../../../secret", "", ".", "*")] == [None] * 4
