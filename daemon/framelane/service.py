"""The life of the process: signals, readiness, the wait, and the stop."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.app import App
from framelane.core.clock import SystemClock
from framelane.core.errors import FramelaneError
from framelane.core.systemd import notify
from framelane.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from framelane.config.schema import Config
    from framelane.telemetry.health import Health

log = structlog.get_logger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOOK_S = 0.5
_STDERR = 2
_LAST_WORDS_S = 5.0
"""For what is done to get out, where the process can't go on and parts of it hang."""


class Node(Protocol):
    """What a service runs: an App, or a supervisor of several in processes of their own."""

    @property
    def ended(self) -> bool:
        """Whether every stream has been played to its end."""
        ...

    @property
    def fatal(self) -> FramelaneError | None:
        """Why the process can't go on, None while it can."""
        ...

    def start(self) -> None:
        """Start; returns when all parts run, and raises FramelaneError where they can't."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Drain and end within `timeout_s` seconds."""
        ...

    def liveness(self) -> Health:
        """Whether it gets on, or only a restart would help."""
        ...

    def headline(self) -> str:
        """How it fares, in a few words."""
        ...


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Hooks:
    """Called as the service's life goes on.

    Attributes:
        ready: once, when every part runs.
        look: again and again from then on.
        stopping: once, before the parts are stopped.
    """

    ready: Callable[[], None] = _nothing
    look: Callable[[], None] = _nothing
    stopping: Callable[[], None] = _nothing


class Changes(Protocol):
    """Who takes changes of the configuration while the node runs."""

    def start(self) -> None:
        """Take changes from now on."""
        ...

    def stop(self) -> None:
        """Take no more; may be called without a start."""
        ...

    def request_reload(self) -> None:
        """Read the files again soon; returns at once."""
        ...


class Service:
    """Runs one App until a signal, or until every stream has ended where that is asked for.

    The first SIGTERM or SIGINT drains and ends with 0; a second one ends the process at once, with 128 + its number.

    Args:
        config: a checked configuration.
        app: what to run; an App of this configuration by default.
        stopping: set at the first signal, or by whoever wants the service to end.
        changes: takes changes of the configuration while it runs; SIGHUP asks for a reload. None for none.
    """

    def __init__(
        self,
        config: Config,
        app: Node | None = None,
        stopping: threading.Event | None = None,
        changes: Changes | None = None,
    ) -> None:
        self.app: Node = app or App(config)
        self.stopping = stopping or threading.Event()
        self._node = config.node
        self._changes = changes

    def run(self) -> None:
        """Start, wait for a signal and stop; call it on the main thread.

        Raises:
            FramelaneError: the app can't start or go on; what had started is stopped again.
        """
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        if self._changes is not None:
            signal.signal(signal.SIGHUP, self._on_reload)
        # A watchdog that bites sends SIGABRT: then the journal has each thread's place, hung ones too.
        faulthandler.enable(_STDERR)
        watchdog = Watchdog(self.app, SystemClock())
        with _StartGuard(self._node.shutdown_s) as guard:

            def ready() -> None:
                guard.disarm()
                notify("READY=1")

            self.work(Hooks(ready, watchdog.look, lambda: notify("STOPPING=1")))

    def work(self, hooks: Hooks) -> None:
        """Start, wait for `stopping` and stop; raises as `run` does."""
        patience_s = self._node.shutdown_s
        try:
            self.app.start()
            if self._changes is not None:
                self._changes.start()
            hooks.ready()
            self._wait(hooks.look)
        except FramelaneError as error:
            if error.ends_at_once:
                patience_s = min(patience_s, _LAST_WORDS_S)
            raise
        finally:
            hooks.stopping()
            if self._changes is not None:
                self._changes.stop()
            self.app.stop(patience_s)

    def _wait(self, look: Callable[[], None]) -> None:
        while not self.stopping.wait(_LOOK_S):
            if self.app.fatal is not None:
                raise self.app.fatal
            if self._node.exit_when_ended and self.app.ended:
                log.info("ended", text="every stream has been played to its end")
                return
            look()

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        if self._changes is not None:
            self._changes.request_reload()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping.is_set():
            os._exit(128 + number)
        self.stopping.set()


class _StartGuard:
    """Ends a process that is told to stop while it starts, and is inside a call that takes minutes.

    Python's own handlers run on the main thread between two of its instructions, which an engine's build keeps from
    coming. Nothing is lost by that end: engines are written whole or not at all, and nothing has been read yet.

    Args:
        patience_s: seconds that the start may still take after the first signal.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._over = threading.Event()
        self._hears, self._rings = socket.socketpair()
        self._before = -1

    def __enter__(self) -> _StartGuard:
        self._rings.settimeout(0)
        self._before = signal.set_wakeup_fd(self._rings.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, name="start-guard", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.disarm()

    def disarm(self) -> None:
        """The start is over; may be called twice."""
        if not self._over.is_set():
            self._over.set()
            signal.set_wakeup_fd(self._before)
            self._rings.close()

    def _listen(self) -> None:
        with self._hears:
            if self._heard(None) is None:
                return
            again = self._heard(self._patience_s)
        if self._over.is_set():
            return
        if again is None:
            log.warning(
                "start_given_up", after_s=self._patience_s, text="told to stop, it had not started in time"
            )
        os._exit(0 if again is None else 128 + again)

    def _heard(self, patience_s: float | None) -> int | None:
        """The next signal that means stop; None if none comes in time, or the start is over."""
        self._hears.settimeout(patience_s)
        with suppress(TimeoutError):
            while heard := self._hears.recv(1):
                if heard[0] in _SIGNALS:
                    return heard[0]
        return None


@contextmanager
def told_of_reload() -> Iterator[None]:
    """Have the service manager know when a reload begins and when it is over, for `systemctl reload` waits for it."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
    try:
        yield
    finally:
        notify("READY=1")
