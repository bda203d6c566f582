"""The journal's file alone: what it keeps over restarts, what it gives up, and what it takes for damage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.events.examples import crossing

from framelane.config.sections.journal import JournalConfig
from framelane.events.facts import FactKey
from framelane.events.journal_file import JournalFile, path_of
from framelane.events.outbox import Entry
from framelane.messages.events import event_message
from framelane.storage.database import DamagedError

if TYPE_CHECKING:
    from pathlib import Path

TOTAL, OBJECT = FactKey("total", ("lobby", "é")), FactKey("object", ("gate-01/lobby/run-1/1",))


def entries(count: int, *, at: float = 1000.0, padding: int = 0) -> list[Entry]:
    made = [event_message("gate-01", crossing(number), None) for number in range(count)]
    if padding:
        made = [each.__class__(each.kind, each.stream, b" " * padding, retain=False) for each in made]
    return [Entry(message, at + number) for number, message in enumerate(made)]


def opened(path: Path, max_bytes: int = 1 << 24, least_row: int = 1) -> closing[JournalFile]:
    return closing(JournalFile(path, max_bytes, least_row))


def test_events_and_facts_are_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    with opened(path) as file:
        assert file.write(entries(3), {TOTAL: b"3", OBJECT: b"{}"}) == 1
        assert file.write([], {OBJECT: None, TOTAL: b"4"}) == 4
    with opened(path) as file:
        assert (file.events, file.next_row, file.facts()) == (3, 4, {TOTAL: b"4"})
        found = file.read(1, 10)
    assert [(each.row, each.at) for each in found.entries] == [(2, 1001.0), (3, 1002.0)]
    assert all(each.message.payload.endswith(b'"replayed":true}') for each in found.entries)
    assert (found.unreadable, found.last_row) == ([], 3)


def test_row_is_never_used_twice_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    with opened(path) as file:
        file.write(entries(2), {})
        file.settle([1, 2], keep=False)
    with opened(path) as file:
        assert file.next_row == 1
    with opened(path, least_row=3) as file:
        assert file.write(entries(1), {}) == 3


def test_oldest_go_first_and_only_those_of_the_time(tmp_path: Path) -> None:
    with opened(tmp_path / "a.journal") as file:
        file.write(entries(5), {})
        assert file.delete_oldest(2) == [1, 2]
        assert file.oldest_at == 1002.0
        assert file.delete_oldest(10, before=1004.0) == [3, 4]
        assert (file.events, file.delete_oldest(10, before=1004.0)) == (1, [])
        assert (file.delete_oldest(10), file.oldest_at) == ([5], None)


def test_full_file_has_room_again_once_the_oldest_are_gone(tmp_path: Path) -> None:
    with opened(tmp_path / "a.journal", max_bytes=1 << 19) as file:
        while not file.full:
            file.write(entries(10, padding=4000), {})
        while file.full:
            file.delete_oldest(10)
        assert 0 < file.disk_bytes <= 1 << 20


def test_emptied_file_gives_its_space_back(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    with opened(path) as file:
        for _ in range(40):
            file.write(entries(10, padding=4000), {})
        before = path.stat().st_size
        file.shrink()
        assert path.stat().st_size == before
        file.settle(range(1, 401), keep=False)
        file.shrink()
        assert path.stat().st_size < before / 4


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE facts SET value = x'39'", "a fact about total has changed by itself"),
        ("UPDATE facts SET names = '[]'", "a fact about total has changed by itself"),
        ("UPDATE facts SET value = 4", "a fact is unreadable"),
    ],
)
def test_fact_that_changed_by_itself_is_damage(tmp_path: Path, statement: str, message: str) -> None:
    path = tmp_path / "a.journal"
    with opened(path) as file:
        file.write([], {TOTAL: b"3"})
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(statement)
    with opened(path) as file, pytest.raises(DamagedError, match=message):
        file.facts()


def test_event_that_changed_by_itself_is_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    with opened(path) as file:
        file.write(entries(3), {})
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE events SET payload = x'00' WHERE row = 2")
    with opened(path) as file:
        found = file.read(0, 10)
    assert ([each.row for each in found.entries], found.unreadable, found.last_row) == ([1, 3], [2], 3)


def test_impossible_row_number_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    with opened(path) as file:
        file.write(entries(1), {})
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE events SET row = -5")
    with pytest.raises(DamagedError, match="impossible numbers"):
        JournalFile(path, 1 << 24)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [(None, "{tmp}/state/journal/gate-01.journal"), ("/var/lib/x", "/var/lib/x/gate-01.journal")],
)
def test_journal_is_in_its_folder_or_where_systemd_keeps_state(
    tmp_path: Path, folder: str | None, expected: str
) -> None:
    environ = {"STATE_DIRECTORY": f"{tmp_path}/state:/other"}
    found = path_of(JournalConfig(folder=folder), "gate-01", environ)
    assert str(found) == expected.format(tmp=tmp_path)
