"""The process's life cycle: signals, readiness, waiting, stopping."""

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

from framelane.core.clock import SystemClock
from framelane.core.errors import FramelaneError
from framelane.core.systemd import notify
from framelane.node.restart_backoff import RestartBackoff
from framelane.node.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from framelane.config.sections.schema import Config
    from framelane.telemetry.health import Health

log = structlog.get_logger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOOK_S = 0.5
_STDERR = 2
_LAST_WORDS_S = 5.0
"""Stop timeout after an error that leaves parts hanging."""


class Node(Protocol):
    """What a service runs; see node/node.py."""

    @property
    def ended(self) -> bool:
        """Whether every stream has been played to its end."""
        ...

    @property
    def fatal(self) -> FramelaneError | None:
        """Why the process can't go on; None while it can."""
        ...

    def start(self) -> None:
        """Start all parts; raise FramelaneError if one can't start."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Drain and end within `timeout_s` seconds."""
        ...

    def liveness(self) -> Health:
        """Return whether it makes progress; if not, only a restart helps."""
        ...

    def headline(self) -> str:
        """Return a summary of the node in a few words."""
        ...


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Hooks:
    """Callbacks of a service's life cycle.

    Attributes:
        ready: called once, when all parts run.
        look: called repeatedly from then on.
        stopping: called once, before the parts are stopped.
    """

    ready: Callable[[], None] = _nothing
    look: Callable[[], None] = _nothing
    stopping: Callable[[], None] = _nothing


class Changes(Protocol):
    """Applies changes of the configuration while the node runs."""

    def start(self) -> None:
        """Start taking changes."""
        ...

    def stop(self) -> None:
        """Stop taking changes; may be called without a start."""
        ...

    def request_reload(self) -> None:
        """Read the files again soon; returns at once."""
        ...


class Service:
    """Runs a node until a signal, or until every stream has ended if so configured.

    The first SIGTERM or SIGINT drains and ends with 0; a second one ends the process at once with 128 + its
    number.

    Args:
        config: a checked configuration.
        app: the node to run.
        stopping: set at the first signal, or by other code to end the service.
        changes: applies changes of the configuration; SIGHUP requests a reload. None for no changes.
    """

    def __init__(
        self,
        config: Config,
        app: Node,
        stopping: threading.Event | None = None,
        changes: Changes | None = None,
    ) -> None:
        self.app = app
        self.stopping = stopping or threading.Event()
        self._node = config.node
        self._changes = changes

    def run(self) -> None:
        """Start, wait for a signal and stop; call this on the main thread.

        Raises:
            FramelaneError: the node can't start or go on; all parts have been stopped.
        """
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        if self._changes is not None:
            signal.signal(signal.SIGHUP, self._on_reload)
        backoff = RestartBackoff.of(os.environ)
        if not self._may_start(backoff.begin()):
            return
        # systemd's watchdog sends SIGABRT; the journal then shows where each thread was, hung ones included.
        faulthandler.enable(_STDERR)
        watchdog = Watchdog(self.app, SystemClock())
        with _StartGuard(self._node.shutdown_s) as guard:

            def ready() -> None:
                guard.disarm()
                notify("READY=1")

            self.work(Hooks(ready, watchdog.look, lambda: notify("STOPPING=1")))
        backoff.end()

    def _may_start(self, wait_s: float) -> bool:
        """Wait `wait_s`, after several failures in a row; return False if a signal ended the wait."""
        if not wait_s:
            return True
        text = "the last starts failed quickly; the log says why"
        log.warning("restart_paced", wait_s=wait_s, text=text)
        notify(f"STATUS=waiting {wait_s:.0f} s after several failures in a row")
        return not self.stopping.wait(wait_s)

    def work(self, hooks: Hooks) -> None:
        """Start, wait for `stopping` and stop; raises as `run` does."""
        timeout_s = self._node.shutdown_s
        try:
            self.app.start()
            if self._changes is not None:
                self._changes.start()
            hooks.ready()
            self._wait(hooks.look)
        except FramelaneError as error:
            if error.ends_at_once:
                timeout_s = min(timeout_s, _LAST_WORDS_S)
            raise
        finally:
            hooks.stopping()
            if self._changes is not None:
                self._changes.stop()
            self.app.stop(timeout_s)

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
    """Ends a process that gets a stop signal during its start, while inside a call that takes minutes.

    Python's own handlers run on the main thread between two bytecode instructions, and so not while it builds
    an engine. Nothing is lost: engines are written whole or not at all, and nothing has been read yet.

    Args:
        timeout_s: seconds that the start may still take after the first signal.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
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
        """Note that the start is over; may be called twice."""
        if not self._over.is_set():
            self._over.set()
            signal.set_wakeup_fd(self._before)
            self._rings.close()

    def _listen(self) -> None:
        with self._hears:
            if self._heard(None) is None:
                return
            again = self._heard(self._timeout_s)
        if self._over.is_set():
            return
        if again is None:
            log.warning(
                "start_given_up",
                after_s=self._timeout_s,
                text="the start did not end in time after a stop signal",
            )
        os._exit(0 if again is None else 128 + again)

    def _heard(self, timeout_s: float | None) -> int | None:
        """Return the next stop signal; None if none comes within `timeout_s` or the start is over."""
        self._hears.settimeout(timeout_s)
        with suppress(TimeoutError):
            while heard := self._hears.recv(1):
                if heard[0] in _SIGNALS:
                    return heard[0]
        return None


@contextmanager
def notify_reload() -> Iterator[None]:
    """Tell the service manager when a reload begins and ends, because `systemctl reload` waits for it."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
    try:
        yield
    finally:
        notify("READY=1")
