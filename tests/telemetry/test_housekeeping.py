"""When tasks are due, with a clock that the tests set."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from framelane.telemetry.housekeeping import Housekeeping, Task
from framelane.telemetry.status import TICK_S

if TYPE_CHECKING:
    from tests.telemetry.conftest import FakeClock


class Rig:
    """Tasks that note their names; ticks take no time."""

    def __init__(self, clock: FakeClock, every_s: dict[str, float], took_s: float = 0.0) -> None:
        self.clock = clock
        self.ran: list[str] = []
        self._took_s = took_s
        tasks = [Task(name, seconds, partial(self._run, name)) for name, seconds in every_s.items()]
        self.housekeeping = Housekeeping(tasks, clock)
        self.housekeeping.stopping.set()

    def _run(self, name: str) -> None:
        self.ran.append(name)
        self.clock.advance(self._took_s)

    def tick(self, wait_s: float) -> list[str]:
        """What runs at a tick after this time."""
        self.clock.advance(wait_s)
        self.ran.clear()
        self.housekeeping.run_once()
        return list(self.ran)


def test_run_once_runs_what_is_due_in_the_order_of_the_list(clock: FakeClock) -> None:
    rig = Rig(clock, {"slow": 10.0, "tick": TICK_S, "fast": 5.0})
    assert [rig.tick(wait_s) for wait_s in (4.9, 0.1, 4.9, 0.1)] == [
        ["tick"],
        ["tick", "fast"],
        ["tick"],
        ["slow", "tick", "fast"],
    ]


def test_run_once_keeps_to_the_grid_when_it_looks_late(clock: FakeClock) -> None:
    rig = Rig(clock, {"task": 10.0})
    assert [rig.tick(wait_s) for wait_s in (10.7, 9.2, 0.1)] == [["task"], [], ["task"]]


def test_run_once_runs_a_task_once_after_a_pause_and_keeps_to_the_grid(clock: FakeClock) -> None:
    rig = Rig(clock, {"task": 10.0})
    assert [rig.tick(wait_s) for wait_s in (104.0, 0.0, 5.9, 0.2)] == [["task"], [], [], ["task"]]


def test_looked_ago_grows_while_a_task_runs(clock: FakeClock) -> None:
    rig = Rig(clock, {"tick": TICK_S}, took_s=7.0)
    rig.tick(1.0)
    assert rig.housekeeping.looked_ago_s == pytest.approx(7.0)


def test_looked_ago_begins_at_the_start_of_the_thread(clock: FakeClock) -> None:
    rig = Rig(clock, {"tick": TICK_S})
    clock.advance(50.0)
    rig.housekeeping.start()
    assert rig.housekeeping.looked_ago_s == 0.0
    rig.housekeeping.stop(5.0)
