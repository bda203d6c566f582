from __future__ import annotations

import random
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import ormsgpack
import pytest
from tests.sinks.examples import ORIGIN, WALL_S, detections, result, seqs

from framelane.messages.detections import Message, detections_message
from framelane.sinks.mqtt.spool.backlog import Entry
from framelane.sinks.mqtt.spool.file import SpoolFile
from framelane.storage.database import DamagedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_BYTES = 1 << 24


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "main.spool"


def entries(*numbers: int, at: float = WALL_S) -> list[Entry]:
    return [Entry(detections(seq), at + seq) for seq in numbers]


def open_file(path: Path, max_bytes: int = MAX_BYTES) -> closing[SpoolFile]:
    return closing(SpoolFile(path, max_bytes))


def fill(path: Path, count: int = 300) -> None:
    with open_file(path) as file:
        file.write(entries(*range(1, count + 1)))


def test_file_gives_back_what_was_written_as_replayed(path: Path) -> None:
    with open_file(path) as file:
        file.write(entries(1, 2))
        file.write(entries(3))
    with open_file(path) as file:
        found = file.read(0, 10)
        assert (file.messages, file.next_row, file.oldest_at) == (3, 4, WALL_S + 1)
    assert seqs([entry.message.payload for entry in found.entries]) == [1, 2, 3]
    assert [(entry.row, entry.at - WALL_S) for entry in found.entries] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert {entry.message.stream for entry in found.entries} == {"lobby"}
    assert all(entry.message.payload.endswith(b'"replayed":true}') for entry in found.entries)


def test_file_gives_back_messagepack_as_replayed(path: Path) -> None:
    message = detections_message(ORIGIN, result(), seq=1, dropped=0, total_s=0.03, encoding="msgpack")
    with open_file(path) as file:
        file.write([Entry(message, WALL_S)])
        (entry,) = file.read(0, 10).entries
    assert entry.message.encoding == "msgpack"
    assert ormsgpack.unpackb(entry.message.payload) == {
        **ormsgpack.unpackb(message.payload),
        "replayed": True,
    }


def test_file_deletes_and_never_uses_a_row_twice(path: Path) -> None:
    with open_file(path) as file:
        file.write(entries(1, 2, 3))
        file.write(entries(4))
        assert file.delete([1, 3, 3, 17]) == 2
        assert ([entry.row for entry in file.read(0, 10).entries], file.messages) == ([2, 4], 2)
        assert file.delete_oldest(1) == [2]
        assert file.delete_oldest(5, before=WALL_S) == []
        assert file.next_row == 5
    with closing(SpoolFile(path, MAX_BYTES, least_row=9)) as file:
        assert (file.messages, file.next_row) == (1, 9)


def test_file_is_for_its_owner_alone(path: Path) -> None:
    with open_file(path) as file:
        file.write(entries(1))
        files = sorted(path.parent.iterdir())
        assert [each.name for each in files] == ["main.spool", "main.spool-wal"]
        assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}


def test_file_is_synced_at_each_commit(path: Path) -> None:
    with open_file(path) as file:
        assert file._database.value("PRAGMA journal_mode") == "wal"
        assert file._database.value("PRAGMA synchronous") == 2  # FULL


def test_file_keeps_other_processes_out_until_it_is_closed(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from framelane.sinks.mqtt.spool.file import SpoolFile;"
        f"SpoolFile(Path({str(path)!r}), {MAX_BYTES})"
    )
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {script}"]
    with open_file(path) as file:
        file.write(entries(1))
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "OperationalError: database is locked" in other.stderr
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            SpoolFile(path, MAX_BYTES)
    assert subprocess.run(command, check=False).returncode == 0


def test_file_stays_within_its_bytes_when_the_oldest_go(path: Path) -> None:
    most = 1 << 20
    with open_file(path, most) as file:
        peak = 0
        for turn in range(60):
            file.write(entries(*range(turn * 100, turn * 100 + 100)))
            while file.full:
                file.delete_oldest(100)
            peak = max(peak, file.disk_bytes)
        assert 0.5 * most < peak <= 1.1 * most
        assert file.messages == len(file.read(0, 100_000).entries) > 500
        assert file.read(0, 10_000).entries[-1].message.payload.find(b'"seq":5999,') > 0


def test_file_gives_the_disk_back_once_it_is_empty(path: Path) -> None:
    with open_file(path) as file:
        file.write(entries(*range(3000)))
        before = file.disk_bytes
        file.delete(range(1, 3000))
        file.shrink()
        assert file.disk_bytes >= before // 2  # one is left
        file.delete([3000])
        file.shrink()
        assert file.disk_bytes < 100_000
        file.write(entries(1))
        assert file.read(2999, 5).entries[0].row == 3001


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE messages SET payload = substr(payload, 1, 50) WHERE row = 2",
        "UPDATE messages SET payload = 'text' WHERE row = 2",
        "UPDATE messages SET payload = 17 WHERE row = 2",
        "UPDATE messages SET stream = x'ff' WHERE row = 2",
        "UPDATE messages SET at = 'once' WHERE row = 2",
        "UPDATE messages SET crc = crc + 1 WHERE row = 2",
    ],
)
def test_file_leaves_out_a_row_that_is_damaged(path: Path, statement: str) -> None:
    fill(path, 3)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)
    with open_file(path) as file:
        found = file.read(0, 10)
    assert ([entry.row for entry in found.entries], found.unreadable, found.last_row) == ([1, 3], [2], 3)


def test_file_leaves_out_what_is_no_message_of_ours(path: Path) -> None:
    with open_file(path) as file:
        file.write([Entry(Message("detections", "lobby", b"{}", retain=False), WALL_S)])
        assert file.read(0, 10).unreadable == [1]


@pytest.mark.parametrize(
    "statements",
    [
        "DROP TABLE messages",
        "DROP TABLE totals",
        "DELETE FROM totals",
        "UPDATE totals SET messages = -1",
        "UPDATE totals SET messages = 'many'",
        "UPDATE totals SET messages = 0",
        "UPDATE messages SET row = 9223372036854775807 WHERE row = 3",
        "PRAGMA user_version = 99",
        "ALTER TABLE messages RENAME COLUMN crc TO checksum",
    ],
)
def test_file_refuses_a_database_that_is_no_spool(path: Path, statements: str) -> None:
    fill(path, 3)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statements)
    with pytest.raises(DamagedError):
        use(path)


def torn(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(1, len(content)) :]


def noisy(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 10, 1000))):
        content[chance.randrange(len(content))] = chance.randrange(256)


def blotted(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content))
    end = min(start + chance.choice((16, 4096, 50_000)), len(content))
    content[start:end] = chance.randbytes(end - start)


def replaced(content: bytearray, chance: random.Random) -> None:
    content[:] = chance.randbytes(chance.randrange(1, 20_000))


@pytest.mark.parametrize("log", [False, True], ids=["file", "log"])
@pytest.mark.parametrize("harm", [torn, noisy, blotted, replaced])
def test_file_survives_any_damage(
    path: Path, harm: Callable[[bytearray, random.Random], None], *, log: bool
) -> None:
    """It opens or says that it is damaged; what it reads is whole. Never a crash, another error, or a hang."""
    file = SpoolFile(path, MAX_BYTES)
    file.write(entries(*range(1, 301)))
    wal = path.with_name("main.spool-wal")
    if not log:
        file.close()
    whole = path.read_bytes(), wal.read_bytes() if log else b""
    file.close()
    sound = {entry.message.payload for entry in entries(*range(1, 301))}
    began_s = time.monotonic()
    for seed in range(60):
        content = bytearray(whole[log])
        harm(content, random.Random(seed))
        path.write_bytes(whole[0] if log else content)
        wal.write_bytes(content if log else b"")
        try:
            found = use(path)
        except (DamagedError, sqlite3.OperationalError):
            continue
        assert {payload.replace(b"true}", b"false}") for payload in found} <= sound
    assert time.monotonic() - began_s < 60.0


def use(path: Path) -> list[bytes]:
    """All that the spool's thread does to a file; the payloads found."""
    found: list[bytes] = []
    with open_file(path) as file:
        last_row = -1
        while True:
            some = file.read(max(last_row, 0), 100)
            found += [entry.message.payload for entry in some.entries]
            if some.last_row <= last_row:
                break
            last_row = some.last_row
        file.delete(list(range(1, 20)))
        file.write(entries(1000))
        assert isinstance(file.full, bool)
        assert file.oldest_at is not None
        file.delete_oldest(50)
        file.shrink()
    return found
