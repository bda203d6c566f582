"""A process that can be killed, terminated or stopped, and is restored at the same address."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.measure.process import Child
    from lab.chaos.plan import Kind

_STOP_S = 10.0


class Victim:
    """One process at a time. One thread strikes, another may revive, never both at once.

    Args:
        make: returns a new process with the same service, not started.
        wait_ready: returns once it serves.
    """

    def __init__(self, make: Callable[[], Child], wait_ready: Callable[[Child], None]) -> None:
        self._make = make
        self._wait_ready = wait_ready
        self._child: Child | None = None
        self._hung = False

    @property
    def child(self) -> Child:
        """Return the current process."""
        if self._child is None:
            raise ValueError("it was never started")
        return self._child

    def start(self) -> None:
        """Start it; `wait` waits until it serves."""
        self._child = self._make()
        self._child.start()

    def wait(self) -> None:
        """Wait until it serves; raise BenchError if it does not."""
        self._wait_ready(self.child)

    def strike(self, kind: Kind) -> None:
        """Strike the process; if the fault ends it, it has ended on return."""
        if kind == "hang":
            self._hung = True
            os.kill(self.child.pid, signal.SIGSTOP)
        elif kind == "kill":
            os.kill(self.child.pid, signal.SIGKILL)
            self.child.stop(_STOP_S)
        else:
            self.child.stop(_STOP_S)

    def revive(self) -> None:
        """Restore it; it serves on return."""
        if self._hung:
            self._hung = False
            os.kill(self.child.pid, signal.SIGCONT)
        else:
            self.start()
            self.wait()

    def stop(self) -> None:
        """End it, even if stopped; may be called twice."""
        if self._child is None:
            return
        if self._hung and self._child.alive:
            os.kill(self._child.pid, signal.SIGCONT)
        self._child.stop(_STOP_S)
