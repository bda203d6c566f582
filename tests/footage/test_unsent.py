from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from framelane.footage.unsent import FOLDER, Unsent

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-11-22"


def key(number: int, suffix: str = "jpg") -> str:
    return f"{DAY}/lobby_1.a-b/{uuid.UUID(int=number)}.{suffix}"


def marked_at(folder: Path, name: str, at: float) -> None:
    os.utime(folder / FOLDER / name.replace("/", "+"), (at, at))


def test_marks_come_back_in_the_order_in_which_they_were_set(tmp_path: Path) -> None:
    unsent = Unsent(tmp_path)
    names = [key(number, suffix) for number, suffix in ((3, "jpg"), (1, "mp4"), (2, "whole.jpg"))]
    for at, name in enumerate(names):
        unsent.mark(name)
        marked_at(tmp_path, name, 1000.0 + at)
    assert Unsent(tmp_path).oldest(10) == ([(1000.0 + at, name) for at, name in enumerate(names)], 3)
    assert Unsent(tmp_path).oldest(2) == ([(1000.0, names[0]), (1001.0, names[1])], 3)


def test_mark_is_taken_away_once(tmp_path: Path) -> None:
    unsent = Unsent(tmp_path)
    unsent.mark(key(1))
    unsent.mark(key(1))
    assert [unsent.unmark(key(1)), unsent.unmark(key(1))] == [True, False]
    assert unsent.oldest(10) == ([], 0)


def test_folder_without_marks_has_none(tmp_path: Path) -> None:
    unsent = Unsent(tmp_path)
    assert (unsent.unmark(key(1)), unsent.oldest(10)) == (False, ([], 0))
    assert not (tmp_path / FOLDER).exists()


def test_foreign_names_are_no_marks(tmp_path: Path) -> None:
    unsent = Unsent(tmp_path)
    unsent.mark(key(1))
    for name in ("notes", f"..+..+{uuid.UUID(int=2)}.jpg", f"{DAY}+lobby+holiday.jpg"):
        (tmp_path / FOLDER / name).touch()
    assert [each.key for each in unsent.all()] == [key(1)]
