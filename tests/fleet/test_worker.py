"""What a worker process does as its parent says."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from tests.events.examples import crossing, event
from tests.waiting import wait_until

from framelane.fleet.protocol import Changed, Happened, Inbox, RetryLogins, send
from framelane.fleet.worker import ParentCommands, ParentReports
from framelane.telemetry.states import StreamState


class FakePipeline:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.retries = 0

    def retry(self) -> None:
        self.retries += 1


def test_worker_tries_logins_again_when_its_parent_says_so() -> None:
    ours, theirs = os.pipe()
    pipeline: Any = FakePipeline()
    commands = ParentCommands(Inbox(ours), ParentReports(theirs))
    # Before there is a pipeline, nothing waits.
    send(theirs, RetryLogins())
    commands.start()
    commands.parts = SimpleNamespace(pipeline=pipeline)  # type: ignore[assignment]
    send(theirs, RetryLogins())
    wait_until(lambda: pipeline.retries >= 1)
    os.close(theirs)
    assert commands.join(10)
    os.close(ours)


def test_worker_tells_its_parent_what_happens_behind_the_states() -> None:
    ours, theirs = os.pipe()
    reports = ParentReports(theirs)
    state = StreamState("lobby", "live", "ok", "frames arrive", 1.0)
    reports.take([event(1), crossing(1)])
    reports.take([crossing(2)])
    reports.stream_changed(state)
    reports.start()
    inbox = Inbox(ours)
    found: list[Any] = []
    while len(found) < 2:
        found += inbox.wait(10.0)
    assert found == [Changed(state), Happened((event(1), crossing(1), crossing(2)))]
    assert reports.stop(10)
    os.close(theirs)
    os.close(ours)


def test_worker_counts_the_events_that_it_drops_for_a_slow_parent() -> None:
    ours, theirs = os.pipe()
    reports = ParentReports(theirs)
    for _ in range(10_003):
        reports.take([crossing(1)])
    reports.start()
    inbox = Inbox(ours)
    found: list[Any] = []
    while not found:
        found += inbox.wait(10.0)
    assert (len(found[0].happenings), found[0].lost) == (10_000, 3)
    assert reports.stop(10)
    os.close(theirs)
    os.close(ours)
