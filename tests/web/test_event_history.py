from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok
from tests.events.desk import Desk, config_of
from tests.events.examples import crossing, event
from tests.sinks.examples import WALL_S
from tests.waiting import wait_until

from framelane.events.history import Place
from framelane.footage.index import MediaIndex
from framelane.footage.store import Limits, MediaStore
from framelane.footage.store import Place as FilePlace
from framelane.messages import schemas
from framelane.web.app import create_app
from framelane.web.event_history import MOST_READERS, router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schemathesis import Case
    from starlette.types import ASGIApp

    from framelane.core.events import Event
    from framelane.messages.history import HistoryPage, Wanted

    from .conftest import Daemon

    Serve = Callable[[ASGIApp], str]

TOKEN = "s3cret-s3cret"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
VALIDATOR = jsonschema.Draft202012Validator(
    schemas.load("event"), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


@dataclass
class Bench:
    """A listener, a journal, and a folder of snapshots and clips."""

    desk: Desk
    store: MediaStore
    url: str

    def happen(self, *events: Event) -> None:
        """Have events written down; an event is published when it is."""
        expected = len(self.desk.events()) + len(events)
        self.desk.journal.take(events)
        wait_until(lambda: len(self.desk.events()) == expected)

    def get(self, query: str = "", status: int = 200) -> Any:
        reply = httpx.get(f"{self.url}/api/events{query}", headers=HEADERS)
        assert reply.status_code == status, reply.text
        if status != 200:
            assert reply.headers["content-type"] == "application/problem+json"
        return reply.json()

    def write(self, event: str, suffix: str) -> None:
        self.store.write(FilePlace(WALL_S, "lobby", event, suffix), [b"x"])


def bench_of(tmp_path: Path, daemon: Daemon, serve: Serve, **journal: Any) -> Bench:
    desk = Desk(config_of(Path(journal.pop("folder", tmp_path / "journal")), **journal))
    store = MediaStore(tmp_path / "media", Limits(1 << 30, 1e9, 0))
    routes = router(desk.journal.history, MediaIndex(store.folder), None)
    app = create_app(daemon, lambda _accept: (b"", "text/plain"), daemon.status, TOKEN, events=routes)
    return Bench(desk, store, serve(app))


@pytest.fixture
def bench(tmp_path: Path, daemon: Daemon, serve: Serve) -> Iterator[Bench]:
    made = bench_of(tmp_path, daemon, serve)
    made.desk.journal.start()
    yield made
    assert made.desk.journal.stop(60.0)


def numbers(reply: Any) -> list[int]:
    return [each["object"]["track_id"] for each in reply["events"]]


def test_events_are_as_on_mqtt_the_newest_first(bench: Bench) -> None:
    bench.happen(event(1), crossing(2), event(3, kind="zone_exit", rule="yard", since=WALL_S - 5))
    reply = bench.get()
    assert (numbers(reply), reply["older"], reply["trouble"]) == ([3, 2, 1], None, None)
    published = {each["event"]: each for each in bench.desk.events()}
    for each in reply["events"]:
        VALIDATOR.validate(each)
        assert list(each)[-1] == "replayed"
        assert each == published[each["event"]] | {"replayed": True}


def test_pages_follow_cursors_both_ways(bench: Bench) -> None:
    bench.happen(*(crossing(number) for number in range(1, 8)))
    first = bench.get("?limit=3")
    second = bench.get(f"?limit=3&cursor={first['older']}")
    third = bench.get(f"?limit=3&cursor={second['older']}")
    assert [numbers(each) for each in (first, second, third)] == [[7, 6, 5], [4, 3, 2], [1]]
    assert third["older"] is None
    bench.happen(crossing(8))
    assert numbers(bench.get(f"?cursor={first['newer']}")) == [8]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?stream=yard", [2]),
        ("?stream=yard&stream=lobby", [3, 2, 1]),
        ("?kind=line", [3]),
        ("?kind=line&kind=new", [3, 2, 1]),
        ("?rule=street", [3]),
        ("?label=person", [3, 2, 1]),
        ("?label=no%20such", []),
        ("?since=2026-11-22T09:00:02Z", [3, 2]),
        ("?since=2026-11-22T10:00:02%2B01:00&until=2026-11-22T09:00:03Z", [2]),
        ("?until=0001-01-01T00:00:00Z", []),
    ],
)
def test_filters_are_applied(bench: Bench, query: str, expected: list[int]) -> None:
    bench.happen(event(1, at=WALL_S + 1), event(2, stream="yard", at=WALL_S + 2))
    bench.happen(crossing(3, at=WALL_S + 3))
    assert numbers(bench.get(query)) == expected


@pytest.mark.parametrize(
    "query",
    [
        "?limit=0",
        "?limit=201",
        "?kind=party",
        "?since=yesterday",
        "?since=2026-11-22T09:00:00",
        "?since=0001-01-01T00:00:00%2B23:00",
        "?cursor=",
        "?cursor=nonsense",
        f"?cursor={'A' * 201}",
        f"?stream={'a' * 201}",
        "?" + "&".join(f"label={number}" for number in range(33)),
    ],
)
def test_odd_questions_are_refused_with_a_reason(bench: Bench, query: str) -> None:
    reply = bench.get(query, 422)
    assert reply["status"] == 422
    assert reply["detail"]


def test_a_cursor_of_a_journal_that_was_replaced_is_gone(bench: Bench) -> None:
    bench.happen(crossing(1))
    cursor = Place("another", 0, 1 << 40).cursor
    assert "begin again" in bench.get(f"?cursor={cursor}", 410)["detail"]


def test_files_are_named_if_they_exist(bench: Bench) -> None:
    promise = "http://10.0.0.1/gone.jpg"
    bench.happen(crossing(1, snapshot_url=promise), crossing(2, snapshot_url=promise), event(3))
    third, _, first = (each["event"] for each in bench.get()["events"])
    bench.write(first, "jpg")
    bench.write(first, "mp4")
    clip = event(4, kind="clip", of=first, clip_url="http://10.0.0.1/gone.mp4")
    lost = event(5, kind="clip", of=third, clip_url="http://10.0.0.1/gone.mp4")
    bench.happen(clip, lost)
    # The index of the listener looks again after a moment.
    wait_until(lambda: sum("clip_url" in each for each in bench.get()["events"]) == 2)
    found = {each["object"]["track_id"]: each for each in bench.get()["events"]}
    base = f"{bench.url}/api/events/{first}"
    assert (found[1]["snapshot_url"], found[1]["clip_url"]) == (f"{base}/snapshot.jpg", f"{base}/clip.mp4")
    assert found[4]["clip_url"] == f"{base}/clip.mp4"
    assert all("clip_url" not in found[number] for number in (2, 3, 5))
    # Its event is long past, so the snapshot was deleted.
    assert "snapshot_url" not in found[2]


def test_a_snapshot_that_is_on_its_way_is_named(bench: Bench) -> None:
    bench.desk.clock.wall_s = time.time()
    bench.happen(crossing(1, snapshot_url="http://10.0.0.1/x.jpg"), crossing(2))
    second, first = bench.get()["events"]
    assert first["snapshot_url"] == f"{bench.url}/api/events/{first['event']}/snapshot.jpg"
    assert "snapshot_url" not in second


def test_no_files_are_named_without_a_folder(tmp_path: Path, daemon: Daemon, serve: Serve) -> None:
    class One:
        def page(self, wanted: Wanted, cursor: str | None, most: int) -> HistoryPage:
            from framelane.messages.history import HistoryPage, PastEvent  # noqa: PLC0415

            desk = Desk(config_of(tmp_path))
            desk.turn(crossing(1, snapshot_url="http://10.0.0.1/x.jpg"))
            desk.end()
            return HistoryPage([PastEvent(desk.events()[0], time.time())], None, "x", None)

    routes = router(One(), None, "https://cams.example")
    url = serve(create_app(daemon, lambda _accept: (b"", "text/plain"), daemon.status, None, events=routes))
    (found,) = httpx.get(f"{url}/api/events").json()["events"]
    assert "snapshot_url" not in found


@pytest.mark.parametrize(
    ("journal", "status", "text"),
    [
        ({"history_events": 0}, 404, "set journal.history_events"),
        ({"folder": "/proc/none"}, 503, "unavailable"),
    ],
)
def test_no_history_is_told_with_the_reason(
    tmp_path: Path, daemon: Daemon, serve: Serve, journal: dict[str, Any], status: int, text: str
) -> None:
    bench = bench_of(tmp_path, daemon, serve, **journal)
    bench.desk.journal.start()
    bench.happen(crossing(1))
    assert text in bench.get("", status)["detail"]
    assert bench.desk.journal.stop(60.0)


def test_the_token_is_required(bench: Bench) -> None:
    for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401), (HEADERS, 200)):
        assert httpx.get(f"{bench.url}/api/events", headers=headers).status_code == status


def test_only_a_few_pages_are_read_at_once(daemon: Daemon, serve: Serve) -> None:
    free, waiting = threading.Event(), threading.Semaphore(0)

    class Slow:
        def page(self, wanted: Wanted, cursor: str | None, most: int) -> HistoryPage:
            from framelane.messages.history import HistoryPage  # noqa: PLC0415

            waiting.release()
            free.wait(60)
            return HistoryPage([], None, "x", None)

    routes = router(Slow(), None, None)
    url = serve(create_app(daemon, lambda _accept: (b"", "text/plain"), daemon.status, None, events=routes))
    statuses: list[int] = []
    readers = [
        threading.Thread(
            target=lambda: statuses.append(httpx.get(f"{url}/api/events", timeout=60).status_code)
        )
        for _ in range(MOST_READERS)
    ]
    for reader in readers:
        reader.start()
    for _ in readers:
        assert waiting.acquire(timeout=60)
    refused = httpx.get(f"{url}/api/events")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    free.set()
    for reader in readers:
        reader.join(60)
    assert statuses == [200] * MOST_READERS
    assert httpx.get(f"{url}/api/events").status_code == 200


def test_no_answer_differs_from_the_description(bench: Bench) -> None:
    bench.happen(event(1), crossing(2))
    schema = schemathesis.openapi.from_url(f"{bench.url}/openapi.json", headers=HEADERS)
    found = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    (operation,) = [each for each in found if each.path == "/api/events"]

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def ask(case: Case[Any]) -> None:
        checks = schemathesis.checks
        case.call_and_validate(
            headers=HEADERS,
            checks=[
                checks.not_a_server_error,
                checks.status_code_conformance,
                checks.content_type_conformance,
                checks.response_schema_conformance,
            ],
        )

    ask()
