"""The thread that does small periodic work: stall checks, statistics, heap trimming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.core.worker import Worker
from framelane.telemetry.status import TICK_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.core.clock import Clock


@dataclass(frozen=True, slots=True)
class Task:
    """A short task that runs every `every_s` seconds."""

    name: str
    every_s: float
    run: Callable[[], None]


class Housekeeping(Worker):
    """Runs tasks when they are due, in the order of the list.

    Args:
        tasks: the tasks.
        clock: the clock.
    """

    def __init__(self, tasks: Sequence[Task], clock: Clock) -> None:
        super().__init__("housekeeping")
        self._tasks = tuple(tasks)
        self._clock = clock
        self._looked_s = clock.monotonic()
        self._due_s = {task.name: self._looked_s + task.every_s for task in tasks}

    @property
    def looked_ago_s(self) -> float:
        """Seconds since it last checked for due tasks; grows if a task hangs."""
        return self._clock.monotonic() - self._looked_s

    def start(self) -> None:
        """Start the thread; `looked_ago_s` counts from here."""
        self._looked_s = self._clock.monotonic()
        super().start()

    def run_once(self) -> None:
        """Wait for a tick, then run the tasks that are due."""
        self.stopping.wait(TICK_S)
        self._looked_s = self._clock.monotonic()
        for task in self._tasks:
            now_s = self._clock.monotonic()
            if task.every_s <= TICK_S:
                task.run()
            elif now_s >= self._due_s[task.name]:
                # After a pause, the missed runs are not made up for.
                missed = (now_s - self._due_s[task.name]) // task.every_s
                self._due_s[task.name] += (missed + 1) * task.every_s
                task.run()
