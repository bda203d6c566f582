from __future__ import annotations

import sqlite3
import stat
import zlib
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.events.desk import LINE, LOBBY, Desk, begun, config_of, lifecycles
from tests.events.examples import crossing, event
from tests.sinks.examples import WALL_S, FakeClock
from tests.small_disk import fill_up
from tests.waiting import wait_until

from framelane.core.attributes import Attribute, Part
from framelane.core.events import Occupancy
from framelane.events.journal_file import JournalFile
from framelane.messages.detections import Message
from framelane.messages.timestamps import timestamp

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.schema import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(tmp_path / "journal")


def test_event_is_on_disk_before_it_is_published(config: Config, tmp_path: Path) -> None:
    """What a kill leaves at the moment of publishing has the event and its counter."""
    desk = Desk(config)
    seen: list[tuple[int, int]] = []

    def publish(message: Message) -> None:
        if message.kind == "events":
            left = desk.copied_to(tmp_path / f"copy-{len(seen)}")
            with closing(JournalFile(left / desk.path.name, 1 << 24)) as file:
                totals = [value for key, value in file.facts().items() if key.kind == "total"]
                seen.append((file.events, len(totals)))

    desk.journal._publish = publish
    desk.turn(crossing(1))
    desk.turn(crossing(2, direction="right"))
    assert seen == [(1, 1), (2, 2)]
    desk.end()
    assert stat.S_IMODE(desk.path.stat().st_mode) == 0o600


def test_totals_count_each_direction_label_and_kind(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1), crossing(2, direction="right"), crossing(1, ordinal=2))
        desk.turn(event(1, kind="zone_enter", rule="yard"), event(1, kind="loiter", rule="yard"))
        desk.turn(event(2, kind="zone_enter", rule="yard"), event(1, kind="update"))
        totals = [(each["kind"], each["direction"], each["total"]) for each in desk.events()]
        assert totals == [
            ("line", "left", 1),
            ("line", "right", 1),
            ("line", "left", 2),
            ("zone_enter", None, 1),
            ("loiter", None, 1),
            ("zone_enter", None, 2),
            ("update", None, None),
        ]
        assert {each["epoch"] for each in desk.events() if each["rule"]} == {timestamp(WALL_S)}
        assert desk.line() == (2, 1, True)
        assert desk.line("street/car") == (0, 0, True)


def test_counters_go_on_after_a_restart(config: Config) -> None:
    clock = FakeClock()
    with begun(config, clock) as desk:
        desk.turn(crossing(1), crossing(2))
        (epoch,) = {each["epoch"] for each in desk.events()}
    clock.advance(600)
    with begun(config, clock) as desk:
        assert desk.line() == (2, 0, True)
        desk.turn(crossing(3, run="run-2"))
        assert [(each["total"], each["epoch"]) for each in desk.events()] == [(3, epoch)]


def test_each_new_has_one_end_after_a_kill(config: Config, tmp_path: Path) -> None:
    desk = Desk(config)
    desk.turn(event(1, kind="new"), event(2, kind="new"), crossing(2, at=WALL_S + 5))
    desk.turn(event(1, kind="end", reason="left"))
    first = desk.deliver_all()
    killed = desk.copied_to(tmp_path / "killed")
    desk.end()
    with begun(config_of(killed)) as again:
        ends = again.events(kind="end")
        assert [(each["object"]["id"], each["reason"], each["at"]) for each in ends] == [
            ("gate-01/lobby/run-1/2", "restart", timestamp(WALL_S + 5))
        ]
        assert (ends[0]["rule"], ends[0]["direction"], ends[0]["total"]) == (None, None, None)
        second = again.deliver_all()
        killed_again = again.copied_to(tmp_path / "killed-again")
    with begun(config_of(killed_again)) as last:
        assert last.events(kind="end") == []
        assert set(lifecycles(first + second + last.deliver_all()).values()) == {(1, 1)}


def test_end_after_a_kill_says_what_was_known_of_the_object(config: Config, tmp_path: Path) -> None:
    parts = (Part("face", 0.5, (1.0, 2.0, 3.0, 4.0), ((1.0, 2.0, 0.5),)),)
    attributes = (Attribute("color", "red", 0.75, WALL_S), Attribute("faces", "face", 0.5, WALL_S, parts))
    desk = Desk(config)
    desk.turn(event(2, kind="new", object=replace(event(2).object, attributes=attributes)))
    (new,) = desk.events(kind="new")
    killed = desk.copied_to(tmp_path / "killed")
    desk.end()
    with begun(config_of(killed)) as again:
        (end,) = again.events(kind="end")
        assert set(new["object"]["attributes"]) == {"color", "faces"}
        assert end["object"]["attributes"] == new["object"]["attributes"]


def test_another_run_ends_what_the_one_before_left(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(event(1), event(2), event(3, stream="other"))
        desk.turn(event(1, run="run-2"))
        kinds = [(each["kind"], each["object"]["id"][-7:], each.get("reason")) for each in desk.events()][3:]
        assert kinds == [
            ("end", "run-1/1", "restart"),
            ("end", "run-1/2", "restart"),
            ("new", "run-2/1", None),
        ]


def test_lost_worker_ends_the_objects_of_its_streams(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(event(1), event(2, stream="other"))
        desk.journal.worker_lost(["lobby"])
        desk.turn(event(1, kind="end", reason="left"))
        assert [(each["stream"], each["reason"]) for each in desk.events(kind="end")] == [
            ("lobby", "restart")
        ]


def test_second_new_and_end_without_new_are_not_published(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(event(1), event(1), event(1, kind="end", reason="left"))
        desk.turn(event(1, kind="end", reason="lost"), event(2, kind="end", reason="lost"))
        assert [each["kind"] for each in desk.events()] == ["new", "end"]


def test_stop_ends_all_objects_and_says_that_nothing_is_known(config: Config) -> None:
    desk = Desk(config)
    desk.journal.start()
    desk.journal.take([event(1), event(2)])
    desk.journal.conclude(30.0)
    assert [each["reason"] for each in desk.events(kind="end")] == ["stopped", "stopped"]
    desk.journal.take([event(3)])
    wait_until(lambda: len(desk.deliver()) + len(desk.outbox) == 0)
    assert desk.journal.stop(30.0)
    assert len(desk.events(kind="new")) == 2
    with begun(config) as again:
        assert (again.events(), len(again.outbox)) == ([], 0)


def test_undelivered_events_are_replayed_in_order_after_a_restart(config: Config) -> None:
    with begun(config) as desk:
        for number in range(1, 3001):
            desk.journal.take([crossing(number)])
        while len(desk.events()) < 3000:
            desk.turn()
        assert [each["object"]["track_id"] for each in desk.deliver(10)] == list(range(1, 11))
        desk.deliver(5, acknowledge=False)
        ids = [each["event"] for each in desk.events()]
    with begun(config) as desk:
        replayed = desk.deliver_all()
        assert [each["event"] for each in replayed] == ids[10:]
        assert all(each["replayed"] for each in replayed)
        assert desk.journal.health.undelivered == 0
    with begun(config) as desk:
        assert desk.deliver_all() == []


def test_flood_is_delivered_in_order_once(config: Config) -> None:
    """More than fits in memory: the rest is read from disk, as replayed."""
    with begun(config) as desk:
        for start in range(1, 5001, 100):
            desk.turn(*(crossing(number) for number in range(start, start + 100)))
        got = desk.deliver_all()
        assert [each["total"] for each in got] == list(range(1, 5001))
        assert [each["replayed"] for each in got] == sorted(each["replayed"] for each in got)
        assert sum(not each["replayed"] for each in got) + 5000 - 1024 >= 1024
        desk.turn(crossing(6000))
        assert [each["replayed"] for each in desk.deliver()] == [False]


def test_node_without_events_touches_no_disk(tmp_path: Path) -> None:
    config = config_of(tmp_path / "journal", {"lobby": {"track": True}})
    with begun(config) as desk:
        desk.turn(after_s=60)
        assert not (tmp_path / "journal").exists()
        assert desk.troubles == []
        desk.journal.configure(config_of(tmp_path / "journal"))
        desk.turn()
        assert desk.path.exists()
        assert desk.line() == (0, 0, True)


def test_without_an_acknowledging_sink_no_event_waits(config: Config) -> None:
    with begun(config, delivers=False) as desk:
        desk.turn(event(1), crossing(1))
        assert [each["total"] for each in desk.events()] == [None, 1]
    with closing(JournalFile(desk.path, 1 << 24)) as file:
        assert file.events == 0
    with begun(config, delivers=False) as desk:
        assert desk.line() == (1, 0, True)
        assert [each["reason"] for each in desk.events(kind="end")] == ["restart"]


def test_changed_rule_starts_again_and_the_others_go_on(tmp_path: Path) -> None:
    streams = {"lobby": {"track": True, "lines": {"a": {**LINE, "classes": ["person"]}, "b": LINE}}}
    with begun(config_of(tmp_path, streams)) as desk:
        desk.turn(crossing(1, rule="a"), crossing(1, rule="b"))
        desk.clock.advance(100)
        streams["lobby"]["lines"] = {"a": {**LINE, "classes": ["person"], "anchor": "center"}, "b": LINE}
        desk.journal.configure(config_of(tmp_path, streams))
        desk.turn()
        assert (desk.line("a/person"), desk.line("b/person")) == ((0, 0, True), (1, 0, True))
        kept = desk.retained()
        assert kept["lines/a/person"]["epoch"] > kept["lines/b/person"]["epoch"]
        desk.turn(crossing(2, rule="a"), crossing(2, rule="b"))
        assert [each["total"] for each in desk.events()[2:]] == [1, 2]


def test_rule_changed_while_no_daemon_ran_starts_again(tmp_path: Path) -> None:
    with begun(config_of(tmp_path)) as desk:
        desk.turn(crossing(1), event(1, kind="zone_enter", rule="yard"))
    changed = LOBBY | {"lines": {"street": {**LINE, "classes": ["person"]}}}
    with begun(config_of(tmp_path, {"lobby": changed})) as desk:
        assert desk.line() == (0, 0, True)
        assert Message("lines", "lobby", b"", retain=True, key="street/car") in desk.published
        desk.turn(event(1, kind="zone_enter", rule="yard", ordinal=2))
        assert desk.events()[-1]["total"] == 2


@pytest.mark.parametrize("live", [True, False])
def test_topics_of_what_is_gone_are_cleared(tmp_path: Path, live: bool) -> None:  # noqa: FBT001 - parametrized
    clock = FakeClock()
    desk = Desk(config_of(tmp_path), clock)
    desk.turn(crossing(1))
    assert set(desk.retained()) == {"lines/street/person", "lines/street/car", "zones/yard/person"}
    if live:
        desk.journal.configure(config_of(tmp_path, {}))
        desk.turn()
    else:
        desk.end()
        before, desk = desk.published, Desk(config_of(tmp_path, {}), clock)
        desk.published += before
        desk.turn()
    assert desk.retained() == {}
    desk.end()
    # The broker may have been away, so the next starts clear them again, but not forever.
    with begun(config_of(tmp_path, {}), clock) as again:
        assert sum(not message.payload for message in again.published) == 3
    clock.advance(8 * 86_400)
    for expected in (0, 0):
        with begun(config_of(tmp_path, {}), clock) as later:
            assert len(later.published) == expected


def test_events_of_a_rule_that_is_gone_count_nothing(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1, rule="gone"))
        assert [(each["total"], each["epoch"]) for each in desk.events()] == [(None, None)]


def test_reset_starts_a_new_epoch_without_any_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {"lobby": LOBBY | {"events": {"reset": "10:30"}}}
    clock = FakeClock()  # 09:00:00.123456 UTC
    with begun(config_of(tmp_path, streams), clock) as desk:
        desk.turn(crossing(1))
        desk.turn(after_s=5390)
        assert desk.line() == (1, 0, True)
        desk.turn(after_s=11)
        assert desk.line() == (0, 0, True)
        assert desk.retained()["lines/street/person"]["epoch"] == "2026-11-22T10:30:00.000000Z"
        desk.turn(crossing(2))
        assert desk.events()[-1]["total"] == 1
    clock.advance(86_400)
    with begun(config_of(tmp_path, streams), clock) as desk:
        assert desk.line() == (0, 0, True)
        assert desk.retained()["lines/street/person"]["epoch"] == "2026-11-23T10:30:00.000000Z"


def test_damaged_journal_is_set_aside_and_counting_starts_again(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1), event(1))
    content = bytearray(desk.path.read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)
    desk.path.write_bytes(content)
    with capture_logs() as logs, begun(config) as desk:
        assert "journal_corrupt" in [entry["event"] for entry in logs]
        assert desk.path.with_name("gate-01.journal.corrupt").exists()
        desk.turn(crossing(2))
        assert (desk.events()[-1]["total"], desk.line(), desk.troubles) == (1, (1, 0, True), [])


def test_counter_that_changed_by_itself_is_damage(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1))
    with closing(sqlite3.connect(desk.path)) as database:
        database.execute("UPDATE facts SET value = x'3939' WHERE kind = 'total'")
        database.commit()
    with begun(config) as desk:
        assert desk.path.with_name("gate-01.journal.corrupt").exists()
        assert desk.line() == (0, 0, True)


def test_fact_of_another_shape_is_damage(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(event(1))
    with closing(sqlite3.connect(desk.path)) as database:
        ((names,),) = database.execute("SELECT names FROM facts WHERE kind = 'object'")
        crc = zlib.crc32(b"{}", zlib.crc32(names.encode(), zlib.crc32(b"object")))
        database.execute("UPDATE facts SET value = x'7b7d', crc = ? WHERE kind = 'object'", (crc,))
        database.commit()
    with begun(config) as desk:
        assert desk.path.with_name("gate-01.journal.corrupt").exists()
        assert desk.line() == (0, 0, True)


def test_unreadable_event_costs_itself_alone(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1), crossing(2), crossing(3))
    with closing(sqlite3.connect(desk.path)) as database:
        database.execute("UPDATE events SET payload = x'00' WHERE row = 2")
        database.commit()
    with begun(config) as desk:
        assert [each["total"] for each in desk.deliver_all()] == [1, 3]
        desk.turn(after_s=2)
        assert desk.journal.health.dropped["corrupt"] == 1
        assert desk.line() == (3, 0, True)


def test_damage_while_running_costs_no_counter_and_no_open_object(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1), event(7))
        assert desk.journal._disk._file is not None
        desk.journal._disk._file._database.rows("DROP TABLE facts")
        desk.turn(crossing(2))
        assert desk.events()[-1]["total"] is None
        desk.turn(crossing(3))
        assert (desk.events()[-1]["total"], desk.line()) == (3, (3, 0, True))
    with begun(config) as desk:
        assert desk.line() == (3, 0, True)
        assert [each["object"]["track_id"] for each in desk.events(kind="end")] == [7]
        assert len(desk.deliver_all()) == 5


def test_journal_of_a_newer_version_is_left_alone(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1))
    with closing(sqlite3.connect(desk.path)) as database:
        database.execute("PRAGMA user_version=99")
        database.commit()
    content = desk.path.read_bytes()
    with begun(config) as desk:
        desk.turn(crossing(2), after_s=60)
        assert [(each["total"], each["epoch"]) for each in desk.events()] == [(None, None)]
        assert desk.line() == (None, None, False)
        assert "version 99): upgrade, or set another journal.folder" in str(desk.troubles[-1])
        assert len(desk.deliver_all()) == 1
    assert desk.path.read_bytes() == content
    assert not desk.path.with_name("gate-01.journal.corrupt").exists()


def test_journal_in_use_by_another_process_counts_nothing_twice(config: Config) -> None:
    with begun(config) as desk, begun(config) as other:
        desk.turn(crossing(1))
        other.turn(crossing(2))
        assert (desk.line(), other.line()) == ((1, 0, True), (None, None, False))
        assert "another process uses it" in str(other.troubles[-1])


def test_folder_that_can_not_be_made_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with begun(config_of(tmp_path / "file" / "journal")) as desk:
        desk.turn(crossing(1))
        assert [each["total"] for each in desk.events()] == [None]
        assert "the journal can't be used" in str(desk.troubles[-1])
        assert desk.deliver_all()[0]["kind"] == "line"
        # The reason goes away: what was counted meanwhile is written.
        (tmp_path / "file").unlink()
        desk.turn(after_s=60)
        desk.turn(after_s=2)
        assert desk.line() == (1, 0, True)
        assert desk.troubles[-1] is None


def test_counters_on_disk_and_those_counted_before_it_could_be_read_are_added(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with begun(config_of(folder)) as desk:
        desk.turn(crossing(1), crossing(2), event(9))
        epoch = desk.events()[0]["epoch"]
    hidden = folder.rename(tmp_path / "hidden")
    folder.touch()
    with begun(config_of(folder)) as desk:
        desk.turn(crossing(3, run="run-2"), event(10, run="run-2"))
        assert desk.line() == (None, None, False)
        folder.unlink()
        hidden.rename(folder)
        desk.turn(after_s=60)
        assert desk.line() == (3, 0, True)
        assert desk.retained()["lines/street/person"]["epoch"] == epoch
        assert [each["object"]["track_id"] for each in desk.events(kind="end")] == [9]
    with begun(config_of(folder)) as desk:
        assert desk.line() == (3, 0, True)


def test_full_disk_costs_no_event_and_no_count(disk: Path) -> None:
    config = config_of(disk / "journal")
    with begun(config) as desk:
        desk.turn(*(crossing(number) for number in range(1, 101)))
        fill_up(disk / "hog")
        for number in range(101, 1101):
            desk.turn(crossing(number))
        lost = [each for each in desk.events() if each["total"] is None]
        assert len(lost) > 500
        assert desk.line() == (None, None, False)
        assert "make room, or lower journal.max_bytes" in str(desk.troubles[-1])
        got = desk.deliver(300)
        (disk / "hog").unlink()
        desk.turn(after_s=60)
        desk.turn(after_s=2)
        assert desk.line() == (1100, 0, True)
        assert desk.troubles[-1] is None
        desk.turn(crossing(1101))
        assert desk.events()[-1]["total"] == 1101
    with begun(config) as desk:
        got += desk.deliver_all()
        assert [each["object"]["track_id"] for each in got] == list(range(1, 1102))
        assert desk.line() == (1101, 0, True)


def test_limits_drop_the_oldest_and_count_them(tmp_path: Path) -> None:
    config = config_of(tmp_path, max_bytes="1MiB", max_age_s=3600)
    with begun(config) as desk:
        for start in range(1, 3001, 100):
            desk.turn(*(crossing(number) for number in range(start, start + 100)))
            desk.turn()
        dropped = desk.journal.health.dropped["size"]
        assert dropped > 0
        assert desk.journal.health.disk_bytes <= 1 << 20
        assert desk.journal.health.undelivered == 3000 - dropped
        got = desk.deliver_all()
        assert [each["total"] for each in got] == list(range(dropped + 1, 3001))
        desk.turn(crossing(1))
        desk.turn(after_s=3500)
        desk.turn(crossing(2))
        desk.turn(after_s=110)
        assert desk.journal.health.dropped["age"] == 1
        assert [each["total"] for each in desk.deliver_all()] == [3002]
        assert desk.line() == (3002, 0, True)


def test_space_of_delivered_events_is_returned(tmp_path: Path) -> None:
    with begun(config_of(tmp_path, history_events=0)) as desk:
        for start in range(1, 4001, 100):
            desk.turn(*(crossing(number) for number in range(start, start + 100)))
        desk.turn(after_s=2)
        assert desk.journal.health.disk_bytes > 3 << 20
        desk.deliver_all()
        desk.turn(after_s=2)
        desk.turn(after_s=2)
        assert desk.journal.health.disk_bytes < 1 << 20
        desk.turn(crossing(1))
        assert desk.line() == (4001, 0, True)


def test_too_many_happenings_are_dropped_and_counted(config: Config) -> None:
    desk = Desk(config)
    desk.journal.take([crossing(number) for number in range(10_000)])
    desk.journal.take([crossing(1), Occupancy("lobby", "yard", "person", 1, WALL_S), crossing(2)])
    desk.journal.lost(5)
    for _ in range(60):
        desk.turn()
    assert desk.journal.health.dropped["queue"] == 7
    assert desk.line()[0] == 10_000
    desk.state("live")
    assert desk.zone() == (1, True), "a count that found no room is stale"
    desk.end()


@pytest.mark.parametrize("rows", [["a", "b"], []])
def test_bytes_that_are_no_journal_never_stop_it(tmp_path: Path, rows: list[str]) -> None:
    (tmp_path / "gate-01.journal").write_text("not a database " * 1000 if rows else "")
    with begun(config_of(tmp_path)) as desk:
        desk.turn(crossing(1))
        assert desk.events()[-1]["total"] == 1


def test_random_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Copies of the files, taken after any turn, are what a kill leaves."""
    import random  # noqa: PLC0415 - for this test alone

    dice = random.Random(7)
    delivered: list[dict[str, Any]] = []
    folder, number, crossed = tmp_path / "0", 0, 0
    for run in range(12):
        desk = Desk(config_of(folder))
        for _ in range(dice.randint(1, 12)):
            happened = []
            for _ in range(dice.randint(0, 6)):
                number += 1
                happened += [event(number, run=f"run-{run}"), crossing(number, run=f"run-{run}")]
                crossed += 1
                if dice.random() < 0.5:
                    happened.append(event(number, run=f"run-{run}", kind="end", reason="left"))
            desk.turn(*happened)
            delivered += desk.deliver(dice.randint(0, 20), acknowledge=dice.random() < 0.7)
            if dice.random() < 0.2:
                desk.outbox.rewind()
        folder = desk.copied_to(tmp_path / str(run + 1))
        with suppress(sqlite3.Error):
            desk.end()
    with begun(config_of(folder)) as desk:
        delivered += desk.deliver_all()
        assert desk.line() == (crossed, 0, True)
    once = {each["event"]: each for each in delivered}
    assert set(lifecycles(delivered).values()) == {(1, 1)}
    totals = sorted(each["total"] for each in once.values() if each["kind"] == "line")
    assert totals == list(range(1, crossed + 1))
    fresh = [each["event"] for each in delivered if not each["replayed"]]
    assert len(fresh) == len(set(fresh)), "a duplicate does not say so"
