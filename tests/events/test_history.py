"""What the journal keeps of events that the broker has, and how it is read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.events.desk import LOBBY, Desk, begun, config_of
from tests.events.examples import PERSON, crossing, event
from tests.sinks.examples import WALL_S
from tests.small_disk import fill_up
from tests.waiting import wait_until

from framelane.core.errors import RequestError
from framelane.events.history import EventHistory
from framelane.messages.history import Wanted
from framelane.messages.timestamps import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from framelane.config.sections.schema import Config
    from framelane.events.inbox import Look
    from framelane.messages.history import HistoryPage

LINES = Wanted(kinds={"line"})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(tmp_path / "journal")


def history_of(desk: Desk, monotonic: Callable[[], float] = lambda: 0.0) -> EventHistory:
    """Reads the journal of a desk, which has no thread of its own."""

    def look(wanted: Look) -> str | None:
        wanted.found.set_result(desk.journal._newest(wanted))
        return desk.journal.health.trouble

    return EventHistory(look, desk.config.journal.history_events, monotonic)


def numbers(page: HistoryPage) -> list[int]:
    return [each.body["object"]["track_id"] for each in page.events]


def all_numbers(desk: Desk, wanted: Wanted = LINES, most: int = 200) -> list[int]:
    """Those of all pages, from the newest on."""
    history, found, cursor = history_of(desk), list[int](), None
    while True:
        page = history.page(wanted, cursor, most)
        found += numbers(page)
        cursor = page.older
        if cursor is None:
            return found


def commits_of(desk: Desk) -> list[str]:
    """Everything that commits from now on."""
    seen: list[str] = []
    disk = desk.journal._disk
    assert disk._file is not None
    disk._file._database._connection.set_trace_callback(
        lambda statement: seen.append(statement) if statement == "COMMIT" else None
    )
    return seen


def test_pages_repeat_and_skip_nothing_while_new_events_come(config: Config) -> None:
    with begun(config) as desk:
        for number in range(1, 121):
            desk.turn(crossing(number))
        history = history_of(desk)
        first = history.page(LINES, None, 50)
        assert numbers(first) == list(range(120, 70, -1))
        desk.turn(crossing(121), crossing(122))
        desk.deliver_all()
        second = history.page(LINES, first.older, 50)
        third = history.page(LINES, second.older, 50)
        assert numbers(second) + numbers(third) == list(range(70, 0, -1))
        assert third.older is None
        assert numbers(history.page(LINES, first.newer, 50)) == [122, 121]


@pytest.mark.parametrize("count", [0, 1, 50, 51])
def test_the_last_page_says_that_it_is_the_last(config: Config, count: int) -> None:
    with begun(config) as desk:
        desk.turn(*(crossing(number) for number in range(count)))
        page = history_of(desk).page(Wanted(), None, 50)
        assert (len(page.events), page.older is None) == (min(count, 50), count <= 50)


def test_newer_events_that_do_not_fit_on_a_page_are_on_the_next(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1))
        history = history_of(desk)
        before = history.page(LINES, None, 10)
        desk.turn(*(crossing(number) for number in range(2, 27)))
        newer = history.page(LINES, before.newer, 10)
        assert numbers(newer) == list(range(26, 16, -1))
        rest = history.page(LINES, newer.older, 100)
        assert (numbers(rest), rest.older) == (list(range(16, 1, -1)), None)
        assert history.page(LINES, newer.newer, 10).events == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), [5, 4, 3, 2, 1]),
        (Wanted(streams={"yard"}), [2]),
        (Wanted(streams={"yard", "lobby"}), [5, 4, 3, 2, 1]),
        (Wanted(kinds={"line", "loiter"}), [5, 3]),
        (Wanted(rules={"street"}), [3]),
        (Wanted(labels={"car"}), [4]),
        (Wanted(since=timestamp(WALL_S + 4)), [5, 4]),
        (Wanted(until=timestamp(WALL_S + 2)), [1]),
        (Wanted(since=timestamp(WALL_S + 2), until=timestamp(WALL_S + 4)), [3, 2]),
        (Wanted(streams={"yard"}, kinds={"line"}), []),
    ],
)
def test_filters_let_through_what_fits_all_of_them(
    config: Config, wanted: Wanted, expected: list[int]
) -> None:
    with begun(config) as desk:
        car = replace(PERSON, id="car", track_id=4, label="car")
        desk.turn(event(1, at=WALL_S + 1), event(2, stream="yard", at=WALL_S + 2))
        desk.turn(crossing(3, at=WALL_S + 3), event(4, object=car, at=WALL_S + 4))
        desk.turn(event(5, kind="loiter", rule="yard", at=WALL_S + 5))
        assert all_numbers(desk, wanted) == expected


def test_a_rare_event_is_found_behind_many_others(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(event(1, kind="loiter", rule="yard"))
        for start in range(0, 2000, 100):
            desk.turn(*(crossing(start + number) for number in range(100)))
        page = history_of(desk).page(Wanted(kinds={"loiter"}), None, 50)
        assert (numbers(page), page.older) == ([1], None)


def test_a_search_that_takes_too_long_goes_on_with_the_next_page(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(event(1, kind="loiter", rule="yard"))
        for start in range(0, 1500, 100):
            desk.turn(*(crossing(start + number) for number in range(100)))
        ticks = iter(range(0, 1_000_000, 10))
        history = history_of(desk, lambda: float(next(ticks)))
        page = history.page(Wanted(kinds={"loiter"}), None, 50)
        assert (page.events, page.older is None) == ([], False)
        pages = 1
        while page.older is not None:
            page = history.page(Wanted(kinds={"loiter"}), page.older, 50)
            pages += 1
        assert (numbers(page), pages) == ([1], 4)


def test_events_are_the_same_before_and_after_delivery_restart_and_replay(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1), crossing(2))
        desk.deliver(1)
        desk.deliver(1, acknowledge=False)
        before = history_of(desk).page(Wanted(), None, 50)
    with begun(config) as desk:
        assert [each["event"] for each in desk.deliver_all()] == [before.events[0].body["event"]]
        desk.turn()
        after = history_of(desk).page(Wanted(), None, 50)
        assert after.events == before.events
        assert all(each.body["replayed"] for each in after.events)
        # The cursor of the earlier process is still good.
        desk.turn(crossing(3))
        assert numbers(history_of(desk).page(Wanted(), before.newer, 50)) == [3]


def test_an_event_is_kept_without_a_further_transaction(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1))
        desk.deliver_all()
        desk.turn(after_s=2)
        commits = commits_of(desk)
        desk.turn(crossing(2))
        assert len(commits) == 1
        desk.deliver()
        desk.turn(after_s=2)
        assert len(commits) == 2
        assert all_numbers(desk) == [2, 1]


def test_the_newest_delivered_events_are_kept(tmp_path: Path) -> None:
    config = config_of(tmp_path, history_events=300)
    with begun(config) as desk:
        for start in range(0, 2000, 100):
            desk.turn(*(crossing(start + number) for number in range(100)))
            desk.deliver_all()
        desk.turn(after_s=2)
        kept = all_numbers(desk)
        assert 300 <= len(kept) < 500
        assert kept == list(range(1999, 1999 - len(kept), -1))
    with begun(config_of(tmp_path, history_events=10)) as desk:
        desk.turn(after_s=2)
        assert 10 <= len(all_numbers(desk)) < 210


def test_old_delivered_events_go_and_undelivered_ones_stay(tmp_path: Path) -> None:
    with begun(config_of(tmp_path, history_age_s=600)) as desk:
        desk.turn(crossing(1))
        desk.deliver_all()
        desk.turn(crossing(2), after_s=590)
        desk.turn(after_s=20)
        assert all_numbers(desk) == [2]
        desk.turn(after_s=600)
        assert all_numbers(desk) == [2]
        assert len(desk.outbox) == 1
        desk.deliver_all()
        desk.turn(after_s=2)
        assert all_numbers(desk) == []


def test_nothing_is_kept_if_nothing_is_to_be_kept(tmp_path: Path) -> None:
    with begun(config_of(tmp_path, history_events=0)) as desk:
        desk.turn(crossing(1))
        desk.deliver_all()
        desk.turn(after_s=2)
        assert desk.journal._disk.newest(0, 1 << 40, 10)[2] == []  # type: ignore[index]
        with pytest.raises(RequestError, match=r"set journal\.history_events") as refusal:
            history_of(desk).page(Wanted(), None, 10)
        assert refusal.value.reason == "off"


def test_a_history_that_is_turned_off_is_deleted(tmp_path: Path) -> None:
    with begun(config_of(tmp_path)) as desk:
        desk.turn(crossing(1))
        desk.deliver_all()
        desk.turn(after_s=2)
    with begun(config_of(tmp_path, history_events=0)) as desk:
        desk.turn(after_s=2)
        assert desk.journal._disk.newest(0, 1 << 40, 10)[2] == []  # type: ignore[index]


def test_delivered_events_make_room_before_undelivered_ones_are_given_up(tmp_path: Path) -> None:
    with begun(config_of(tmp_path, max_bytes="1MiB", history_events=100_000)) as desk:
        for start in range(0, 1000, 100):
            desk.turn(*(crossing(start + number) for number in range(100)))
            desk.deliver_all()
        desk.turn(after_s=2)
        for start in range(1000, 1500, 100):
            desk.turn(*(crossing(start + number) for number in range(100)))
            desk.turn(after_s=2)
        assert desk.journal.health.dropped["size"] == 0
        assert desk.journal.health.disk_bytes <= 1 << 20
        assert [each["object"]["track_id"] for each in desk.deliver_all()] == list(range(1000, 1500))
        desk.turn(after_s=2)
        kept = all_numbers(desk)
        assert kept == list(range(1499, 1499 - len(kept), -1))


def test_delivered_events_make_room_on_a_full_disk(disk: Path) -> None:
    with begun(config_of(disk / "journal")) as desk:
        for start in range(0, 3000, 100):
            desk.turn(*(crossing(start + number) for number in range(100)))
            desk.deliver_all()
        fill_up(disk / "hog")
        for start in range(3000, 5000, 100):
            desk.turn(*(crossing(start + number) for number in range(100)))
            desk.deliver_all()
        assert desk.troubles == []
        assert all(each["total"] is not None for each in desk.events())
        kept = all_numbers(desk)
        assert kept == list(range(4999, 4999 - len(kept), -1))
        assert len(kept) >= 1000


def test_without_a_sink_that_acknowledges_events_are_kept_alike(config: Config) -> None:
    with begun(config, delivers=False) as desk:
        desk.turn(crossing(1), crossing(2))
        assert all_numbers(desk) == [2, 1]
    with begun(config, delivers=False) as desk:
        desk.turn(crossing(3))
        assert all_numbers(desk) == [3, 2, 1]
    with begun(config) as desk:
        assert desk.deliver_all() == []


def test_a_damaged_event_is_left_out(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(*(crossing(number) for number in range(1, 6)))
    with closing(sqlite3.connect(desk.path)) as database:
        database.execute("UPDATE events SET payload = x'00' WHERE row IN (1, 3)")
        database.commit()
    with begun(config) as desk:
        assert all_numbers(desk, most=2) == [5, 4, 2]


def test_an_event_that_was_written_twice_is_shown_once(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1), crossing(2))
    with closing(sqlite3.connect(desk.path)) as database:
        database.execute("INSERT INTO events SELECT row + 10, at, stream, payload, crc FROM events")
        database.commit()
    with begun(config) as desk:
        assert all_numbers(desk) == [2, 1]


def test_a_new_file_makes_cursors_of_the_one_before_useless(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1), crossing(2))
        history = history_of(desk)
        before = history.page(Wanted(), None, 1)
        assert desk.journal._disk._file is not None
        desk.journal._disk._file._database.rows("DROP TABLE facts")
        desk.turn(crossing(3))
        desk.turn(crossing(4))
        for cursor in (before.older, before.newer):
            with pytest.raises(RequestError, match="begin again") as refusal:
                history.page(Wanted(), cursor, 10)
            assert refusal.value.reason == "gone"
        assert numbers(history.page(Wanted(), None, 10))[0] == 4


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "AAAA", "Li4u", "YS4tMS4y", "YS4xLng", "\u00e9", "YS4xLjk5OTk5OTk5OTk5OTk5OTk5OTk5OTk"],
)
def test_what_is_no_cursor_is_refused(config: Config, cursor: str) -> None:
    with begun(config) as desk, pytest.raises(RequestError) as refusal:
        history_of(desk).page(Wanted(), cursor, 10)
    assert refusal.value.reason == "cursor"


def test_a_journal_that_can_not_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with begun(config_of(tmp_path / "file" / "journal")) as desk:
        desk.turn(crossing(1))
        with pytest.raises(RequestError, match=r"unavailable: the journal can't be used: .*file") as refusal:
            history_of(desk).page(Wanted(), None, 10)
        assert refusal.value.reason == "unavailable"
        assert len(desk.events()) == 1


def test_a_journal_that_can_only_be_read_says_that_the_newest_are_missing(disk: Path) -> None:
    with begun(config_of(disk / "journal")) as desk:
        desk.turn(crossing(1))
        fill_up(disk / "hog")
        for number in range(2, 1002):
            desk.turn(crossing(number))
        desk.turn(after_s=2)
        page = history_of(desk).page(LINES, None, 200)
        assert 1 <= len(page.events) < 1000
        assert "make room" in str(page.trouble)


def test_a_node_without_events_has_an_empty_history(tmp_path: Path) -> None:
    config = config_of(tmp_path / "journal", {"lobby": {"track": True}})
    with begun(config) as desk:
        page = history_of(desk).page(Wanted(), None, 10)
        assert (page.events, page.older, page.trouble) == ([], None, None)
        assert not (tmp_path / "journal").exists()


def test_a_journal_of_version_1_goes_on_with_its_counters(config: Config) -> None:
    with begun(config) as desk:
        desk.turn(crossing(1), crossing(2))
        desk.deliver(1)
        desk.turn(after_s=2)
    with closing(sqlite3.connect(desk.path)) as database:
        # Version 1 deleted what was delivered, and had neither of these tables.
        database.execute("DELETE FROM events WHERE row NOT IN (SELECT row FROM undelivered)")
        for statement in ("DROP TABLE undelivered", "DROP TABLE identity", "PRAGMA user_version=1"):
            database.execute(statement)
        database.commit()
    with begun(config) as desk:
        assert desk.line() == (2, 0, True)
        assert all_numbers(desk) == [2]
        assert [each["object"]["track_id"] for each in desk.deliver_all()] == [2]
        desk.turn(crossing(3))
        assert desk.events()[-1]["total"] == 3
        assert all_numbers(desk) == [3, 2]
    assert not desk.path.with_name("gate-01.journal.corrupt").exists()


def test_the_thread_answers_between_its_events(tmp_path: Path) -> None:
    desk = Desk(config_of(tmp_path, {"lobby": LOBBY}))
    history = desk.journal.history
    with pytest.raises(RequestError, match="the journal is not open"):
        history.page(Wanted(), None, 10)
    desk.journal.start()

    def seen() -> dict[str, Any]:
        return {each.body["event"]: each.body["kind"] for each in history.page(Wanted(), None, 200).events}

    for number in range(100):
        desk.journal.take([crossing(number)])
    wait_until(lambda: len(seen()) == 100)
    desk.deliver()
    desk.journal.wake()
    wait_until(lambda: desk.journal.health.undelivered == 0)
    assert len(seen()) == 100
    assert desk.journal.stop(30.0)
    with pytest.raises(RequestError, match="the journal is not open"):
        history.page(Wanted(), None, 10)
