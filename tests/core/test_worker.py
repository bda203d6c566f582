"""A worker's thread repeats its work, survives faults, stops when asked and cleans up."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from framelane.core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

GENEROUS_S = 30.0


class Counting(Worker):
    """Counts its calls; the first `faults` of them fail."""

    def __init__(self, faults: int = 0, wait_s: float = 0.0) -> None:
        super().__init__("counting")
        self.turns = 0
        self.faults = faults
        self.wait_s = wait_s
        self.errors: list[str] = []
        self.ends = 0
        self.thread_names: set[str] = set()
        self.enough = threading.Event()

    def run_once(self) -> None:
        self.thread_names.add(threading.current_thread().name)
        self.turns += 1
        if self.turns <= self.faults:
            raise ValueError(f"fault {self.turns}")
        if self.turns >= 5:
            self.enough.set()
            self.stopping.wait(GENEROUS_S)

    def failed(self, error: Exception) -> float:
        self.errors.append(str(error))
        return self.wait_s

    def ended(self) -> None:
        self.ends += 1


@pytest.fixture
def worker() -> Iterator[Counting]:
    made = Counting()
    yield made
    made.stop(GENEROUS_S)


def test_worker_repeats_its_work_on_its_own_thread_until_stopped(worker: Counting) -> None:
    assert not worker.alive
    worker.start()
    assert worker.enough.wait(GENEROUS_S)
    assert worker.alive
    assert worker.stop(GENEROUS_S)
    assert (worker.turns, worker.ends, worker.thread_names) == (5, 1, {"counting"})
    assert not worker.alive


@pytest.mark.skipif(sys.platform != "linux", reason="threads have names in Linux's /proc")
def test_system_shows_the_thread_by_its_name(worker: Counting) -> None:
    worker.start()
    assert worker.enough.wait(GENEROUS_S)
    assert worker._thread is not None
    name = Path(f"/proc/self/task/{worker._thread.native_id}/comm").read_text(encoding="utf-8")
    assert name == "counting\n"


def test_start_does_nothing_when_it_has_started(worker: Counting) -> None:
    worker.start()
    worker.start()
    assert worker.enough.wait(GENEROUS_S)
    assert [thread.name for thread in threading.enumerate()].count("counting") == 1


def test_worker_goes_on_when_its_work_fails() -> None:
    worker = Counting(faults=3)
    worker.start()
    assert worker.enough.wait(GENEROUS_S)
    assert worker.stop(GENEROUS_S)
    assert worker.errors == ["fault 1", "fault 2", "fault 3"]


def test_stop_ends_the_wait_after_a_fault() -> None:
    worker = Counting(faults=1, wait_s=3600)
    worker.start()
    while not worker.errors:
        pass
    assert worker.stop(GENEROUS_S)
    assert (worker.turns, worker.ends) == (1, 1)


def test_stop_says_false_when_the_work_takes_longer() -> None:
    works, release = threading.Event(), threading.Event()

    class Stuck(Worker):
        def run_once(self) -> None:
            works.set()
            release.wait(GENEROUS_S)

    worker = Stuck("stuck")
    worker.start()
    assert works.wait(GENEROUS_S)
    assert not worker.stop(0.01)
    release.set()
    assert worker.join(GENEROUS_S)


def test_stop_may_come_from_the_thread_itself() -> None:
    class Finite(Worker):
        def run_once(self) -> None:
            self.stop()

    worker = Finite("finite")
    worker.start()
    assert worker.join(GENEROUS_S)


def test_stop_does_nothing_when_it_never_started() -> None:
    assert Counting().stop(0)


def test_worker_cleans_up_when_something_worse_than_an_exception_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    worker = Counting()
    worker.run_once = lambda: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    worker.start()
    assert worker.join(GENEROUS_S)
    assert worker.ends == 1
