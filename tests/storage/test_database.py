from __future__ import annotations

import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from framelane.storage.database import DamagedError, Database, Layout, OtherVersionError

if TYPE_CHECKING:
    from pathlib import Path

LAYOUT = Layout("notebook", 3, "CREATE TABLE notes (text TEXT NOT NULL)")


def opened(path: Path, layout: Layout = LAYOUT) -> closing[Database]:
    return closing(Database(path, 1 << 24, layout, lambda _database: None))


def write_and_fail(database: Database) -> None:
    with database.transaction():
        database.change("INSERT INTO notes VALUES (?)", [("lost",)])
        raise ZeroDivisionError


def test_database_keeps_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.notes"
    with opened(path) as database:
        with database.transaction():
            assert database.change("INSERT INTO notes VALUES (?)", [("kept",), ("too",)]) == 2
        with pytest.raises(ZeroDivisionError):
            write_and_fail(database)
    with opened(path) as database:
        assert database.rows("SELECT text FROM notes ORDER BY rowid") == [("kept",), ("too",)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_database_of_another_version_is_told_apart_from_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.notes"
    with opened(path):
        pass
    with pytest.raises(OtherVersionError, match="not a notebook of this version of Framelane") as found:
        opened(path, LAYOUT._replace(version=2))
    assert found.value.version == 3


def test_database_of_an_older_version_is_upgraded_step_by_step_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.notes"
    with opened(path) as database, database.transaction():
        database.change("INSERT INTO notes VALUES (?)", [("kept",)])
    newer = LAYOUT._replace(
        version=5,
        tables="never used",
        upgrades={
            3: "ALTER TABLE notes ADD COLUMN page INTEGER NOT NULL DEFAULT 7",
            4: "CREATE TABLE covers (text TEXT); INSERT INTO covers SELECT text FROM notes WHERE page = 7",
        },
    )
    for _ in range(2):
        with opened(path, newer) as database:
            assert database.rows("SELECT text, page FROM notes") == [("kept", 7)]
            assert database.rows("SELECT text FROM covers") == [("kept",)]
    with pytest.raises(OtherVersionError, match="version 5"):
        opened(path)


def test_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.notes"
    with opened(path):
        pass
    odd = LAYOUT._replace(version=4, upgrades={3: "CREATE TABLE covers (text TEXT); SELECT * FROM missing"})
    with pytest.raises(DamagedError, match="no such table"):
        opened(path, odd)
    with opened(path) as database:
        assert database.rows("SELECT * FROM notes") == []


def test_database_without_its_tables_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.notes"
    with opened(path) as database:
        database.rows("DROP TABLE notes")
        with pytest.raises(DamagedError, match="no such table"):
            database.rows("SELECT * FROM notes")


def test_database_doubted_by_its_owner_is_closed_again(tmp_path: Path) -> None:
    def doubt(_database: Database) -> None:
        raise DamagedError("odd")

    path = tmp_path / "a.notes"
    with pytest.raises(DamagedError, match="odd"):
        Database(path, 1 << 24, LAYOUT, doubt)
    with opened(path) as database:  # and its lock is released
        assert database.rows("SELECT * FROM notes") == []
