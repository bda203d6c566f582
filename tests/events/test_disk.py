"""The journal's file while it is usable, on its way to being so, and while it is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.events.examples import crossing
from tests.sinks.examples import FakeClock

from framelane.config.sections.journal import JournalConfig
from framelane.events.disk import Disk
from framelane.events.facts import FactKey
from framelane.events.journal_file import JournalFile
from framelane.events.ledger import Ledger
from framelane.events.outbox import Entry, Outbox
from framelane.messages.events import event_message

if TYPE_CHECKING:
    from pathlib import Path

FACT = FactKey("total", ("lobby", "lines", "street", "left", "person"))


class Rig:
    """A disk with its ledger and outbox."""

    def __init__(self, path: Path, clock: FakeClock | None = None, *, delivers: bool = True) -> None:
        self.clock = clock or FakeClock()
        self.ledger = Ledger("gate-01", {}, self.clock)
        self.outbox = Outbox(self.clock)
        config = JournalConfig(max_age_s=3600)
        self.disk = Disk(config, path, self.ledger, self.outbox if delivers else None, self.clock)

    def save(self, *numbers: int) -> bool:
        """Prepare, and write events of these objects; a journal that can't keeps them for later."""
        self.disk.prepare()
        entries = [Entry(event_message("gate-01", crossing(n), None), self.clock.wall()) for n in numbers]
        done = self.disk.save(entries)
        if not done:
            self.outbox.hold(entries)
        return done

    def take(self) -> int:
        """Take and settle all that the broker can get; return how many events."""
        count = 0
        while (taken := self.outbox.take()) is not None:
            self.outbox.settle(taken[0])
            count += 1
        return count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "gate-01.journal"


def on_disk(path: Path) -> tuple[int, dict[FactKey, bytes]]:
    with closing(JournalFile(path, 1 << 24)) as file:
        return file.events, file.facts()


def test_folder_and_file_are_made_and_hold_events_and_facts(path: Path) -> None:
    rig = Rig(path)
    rig.ledger.facts.put(FACT, 2)
    assert rig.save(1, 2)
    rig.disk.close()
    rig.disk.close()
    assert on_disk(path) == (2, {FACT: b"2"})
    assert not rig.disk.usable


def test_node_without_a_broker_keeps_facts_and_no_events(path: Path) -> None:
    rig = Rig(path, delivers=False)
    rig.ledger.facts.put(FACT, 2)
    assert rig.save(1, 2)
    rig.disk.tidy()
    rig.disk.close()
    assert on_disk(path) == (0, {FACT: b"2"})


def test_delivered_events_are_deleted_and_old_ones_given_up(path: Path) -> None:
    rig = Rig(path)
    rig.save(1, 2)
    ticket, _ = rig.outbox.take() or (0, None)
    rig.outbox.settle(ticket)
    rig.disk.tidy()
    assert (len(rig.outbox), rig.outbox.dropped["age"]) == (1, 0)
    assert rig.disk.oldest_at == rig.clock.wall()
    rig.clock.advance(3601)
    rig.disk.tidy()
    assert (len(rig.outbox), rig.outbox.dropped["age"], rig.disk.oldest_at) == (0, 1, None)


def test_events_of_the_last_run_are_read_ahead(path: Path) -> None:
    first = Rig(path)
    first.save(1, 2, 3)
    first.disk.close()
    second = Rig(path)
    with capture_logs() as logs:
        second.save()
    assert [(each["event"], each["events"]) for each in logs] == [("journal_opened", 3)]
    second.disk.tidy()
    assert second.take() == 3


def test_what_can_not_be_written_waits_in_memory_and_is_written_later(path: Path) -> None:
    rig = Rig(path)
    path.parent.write_text("a file where the folder should be")
    rig.ledger.facts.put(FACT, 1)
    assert not rig.save(1)
    assert str(path) in (rig.disk.outage.text or "")
    path.parent.unlink()
    assert not rig.save(2)
    rig.clock.advance(2)
    assert rig.save(3)
    assert rig.disk.outage.text is None
    rig.disk.close()
    assert on_disk(path) == (3, {FACT: b"1"})


def test_file_in_use_elsewhere_is_tried_again_with_the_remedy_in_words(path: Path) -> None:
    other = Rig(path)
    other.save(1)
    rig = Rig(path)
    with capture_logs() as logs:
        assert not rig.save(2)
    assert "do two daemons have one node.id?" in str(logs[-1]["error"])
    other.disk.close()
    rig.clock.advance(2)
    assert rig.save(3)


def test_damaged_file_is_set_aside_and_facts_go_into_a_new_one(path: Path) -> None:
    rig = Rig(path)
    rig.ledger.facts.put(FACT, 7)
    rig.save(1)
    rig.disk.close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DROP TABLE events")
    with capture_logs() as logs:
        assert rig.save(2)
    (told,) = [each for each in logs if each["event"] == "journal_corrupt"]
    assert told["kept"] == f"{path}.corrupt"
    rig.disk.close()
    assert on_disk(path) == (2, {FACT: b"7"})


def test_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    rig = Rig(path)
    rig.save(1)
    rig.disk.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    assert not rig.save(2)
    assert "upgrade, or set another journal.folder" in (rig.disk.outage.text or "")
    assert path.read_bytes() == before
