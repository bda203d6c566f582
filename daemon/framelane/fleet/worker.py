"""A worker process: one App on its share of the streams, which tells its parent what one process would publish."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from framelane.core.errors import FramelaneError
from framelane.core.libc import prctl
from framelane.core.worker import Worker
from framelane.fleet.link import (
    Answered,
    Change,
    Changed,
    Failed,
    Hurry,
    Inbox,
    Order,
    Snapshot,
    Started,
    send,
)
from framelane.gpu.errors import DeviceLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.app import App
    from framelane.core.frames import ModelInfo
    from framelane.fleet.link import News
    from framelane.telemetry.states import StreamState

_SNAPSHOT_S = 1.0
_PATIENCE_S = 60.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_STDIN = 0


class Uplink(Worker):
    """Sends states as they change, and a snapshot every second.

    Of a stream's states only the newest waits: there is no more to send than streams, however slow the parent.
    """

    def __init__(self, descriptor: int, every_s: float = _SNAPSHOT_S) -> None:
        super().__init__("uplink")
        self._descriptor = descriptor
        self._every_s = every_s
        self._snapshot: Callable[[], Snapshot] | None = None
        self._due_s = time.monotonic()
        self._changed: dict[str, StreamState] = {}
        self._said: list[News] = []
        self._lock = threading.Lock()
        self._news = threading.Event()

    def observe(self, snapshot: Callable[[], Snapshot]) -> None:
        """Where snapshots come from, once there is an app."""
        self._snapshot = snapshot

    def stream_changed(self, state: StreamState) -> None:
        """Pass a stream's new state on; from any thread, returns at once."""
        with self._lock:
            self._changed.pop(state.stream, None)
            self._changed[state.stream] = state
        self._news.set()

    def say(self, message: Started | Failed | Answered) -> None:
        """Pass a message on, after the states that came before."""
        with self._lock:
            self._said.append(message)
        self._news.set()

    def hurry(self) -> None:
        """Send a snapshot now."""
        self._due_s = 0.0
        self._news.set()

    def wake(self) -> None:
        """Look whether to stop."""
        self._news.set()

    def run_once(self) -> None:
        """Wait for something to send, and send it."""
        self._news.wait(max(self._due_s - time.monotonic(), 0.0))
        self._news.clear()
        self._send_news()
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + self._every_s
            self._send_snapshot()

    def failed(self, error: Exception) -> float:
        """Without a parent there is nobody to tell; `main` sees that on its own."""
        if isinstance(error, OSError):
            self.stopping.set()
            return 0.0
        return super().failed(error)

    def ended(self) -> None:
        """Send the last states and counts."""
        try:
            self._send_news()
            self._send_snapshot()
        except OSError:
            return

    def _send_news(self) -> None:
        with self._lock:
            changed, self._changed = self._changed, {}
            said, self._said = self._said, []
        messages: Sequence[News] = [*map(Changed, changed.values()), *said]
        for message in messages:
            send(self._descriptor, message)

    def _send_snapshot(self) -> None:
        if self._snapshot is not None:
            send(self._descriptor, self._snapshot())


class Obedience(Worker):
    """Does what the parent says through our standard input, which it closes to stop us, or by its own end."""

    def __init__(self, inbox: Inbox, uplink: Uplink) -> None:
        super().__init__("parent")
        self.app: App | None = None
        """Whose streams change, once there is one."""
        self.told_to_stop = threading.Event()
        self._inbox = inbox
        self._uplink = uplink

    def run_once(self) -> None:
        """Hear what comes next, and do it."""
        for message in self._inbox.wait(_PATIENCE_S):
            if isinstance(message, Change):
                self._change(message)
            elif isinstance(message, Hurry):
                if self.app is not None:
                    self.app.retry()
            else:
                self._uplink.hurry()
        if self._inbox.ended:
            self.told_to_stop.set()
            self.stopping.set()

    def _change(self, change: Change) -> None:
        from framelane.config.secrets import register_secrets  # noqa: PLC0415 - as in `main`

        failure: Failed | None = Failed(1, "the change failed; its log says why")
        app = self.app
        register_secrets(change.config)
        try:
            if app is not None:
                app.prepare(change.config)
                if change.commit:
                    app.commit(change.config)
                failure = None
        except FramelaneError as error:
            failure = Failed.of(error)
        finally:  # nobody may wait for ever
            self._uplink.say(Answered(change.number, () if app is None else _models(app), failure))


def main() -> None:
    """Take the order from standard input, and run until that is closed; ends with the codes of `framelane run`."""
    # Ctrl-C, systemd and a terminal that closes send them to all: the parent decides.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    inbox = Inbox(_STDIN)
    order = _take_order(inbox)
    _die_with(order.parent)
    from framelane.config.secrets import register_secrets  # noqa: PLC0415 - signals first
    from framelane.core.log import setup  # noqa: PLC0415

    register_secrets(order.config)
    setup(order.config.log.level, order.config.log.format, tags={"process": order.name})
    uplink = Uplink(order.answer_to)
    uplink.start()
    code = _run(order, inbox, uplink)
    uplink.stop(order.config.node.shutdown_s)
    os.close(order.answer_to)  # what holds the end of this process up need not hold up its parent
    if code == DeviceLostError.exit_code:
        os._exit(code)  # threads that hang in the driver would keep the interpreter's own end
    sys.exit(code)


def _run(order: Order, inbox: Inbox, uplink: Uplink) -> int:
    from framelane.app import App  # noqa: PLC0415 - signals first
    from framelane.service import Hooks, Service  # noqa: PLC0415

    obedience = Obedience(inbox, uplink)
    obedience.start()
    try:
        app = App(order.config, uplink=uplink.stream_changed, worker=order.name)
        uplink.observe(lambda: _snapshot(app))
        obedience.app = app
        hooks = Hooks(ready=lambda: uplink.say(_started(app)))
        Service(order.config, app, obedience.told_to_stop).work(hooks)
    except FramelaneError as error:
        uplink.say(Failed.of(error))
        return error.exit_code
    return 0


def _started(app: App) -> Started:
    return Started(app.run, _models(app))


def _models(app: App) -> tuple[ModelInfo, ...]:
    return tuple(worker.model.info for worker in app.pool.workers.values())


def _snapshot(app: App) -> Snapshot:
    from framelane.telemetry.stats import sample_process  # noqa: PLC0415 - signals first

    seen = {state.stream: state.last_frame_s for state in app.board.streams()}
    judged = app.started and app.fatal is None  # with what is fatal it ends itself, and says why
    return Snapshot(
        counts=app.meters.snapshot(),
        last_frames={stream: at_s for stream, at_s in seen.items() if at_s is not None},
        sinks=app.outlet.health(),
        ailments=app.liveness().reasons if judged else (),
        used=sample_process(),
    )


def _take_order(inbox: Inbox) -> Order:
    while not inbox.ended:
        for message in inbox.wait(_PATIENCE_S):
            if isinstance(message, Order):
                return message
    sys.exit("framelane.fleet: this is a worker process, which `framelane run` starts")


def _die_with(parent: int) -> None:
    """Have the kernel end us when our parent is killed, which leaves nobody to close anything (prctl(2))."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
