"""A worker process: runs a pipeline for its share of the streams and reports to its parent."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from framelane.core.errors import FramelaneError, RequestError
from framelane.core.events import Event
from framelane.core.libc import prctl
from framelane.core.worker import Worker
from framelane.fleet.protocol import (
    Answered,
    Change,
    Changed,
    Detect,
    Detected,
    Failed,
    Happened,
    Inbox,
    Order,
    RetryLogins,
    Snapshot,
    Started,
    send,
)
from framelane.gpu.errors import DeviceLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.core.events import Occupancy
    from framelane.fleet.protocol import News
    from framelane.fleet.worker_parts import WorkerParts
    from framelane.telemetry.states import StreamState

_SNAPSHOT_S = 1.0
_INBOX_S = 60.0
_LOOK_S = 0.5
_LAST_WORDS_S = 5.0
"""Stop timeout after an error that leaves parts hanging."""
_IMAGES_AT_ONCE = 8
_MOST_HAPPENINGS = 10_000
# From linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_STDIN = 0


class ParentReports(Worker):
    """Sends stream states when they change, what happens to objects, and a snapshot every second.

    Only the newest state of each stream waits, so a slow parent can't make the queue longer than the stream
    list. Of too many happenings the newest are dropped, and events among them counted.
    """

    def __init__(self, descriptor: int, every_s: float = _SNAPSHOT_S) -> None:
        super().__init__("uplink")
        self._descriptor = descriptor
        self._every_s = every_s
        self._snapshot: Callable[[], Snapshot] | None = None
        self._due_s = time.monotonic()
        self._changed: dict[str, StreamState] = {}
        self._happened: list[Event | Occupancy] = []
        self._lost = 0
        self._said: list[News] = []
        self._lock = threading.Lock()
        self._news = threading.Event()

    def observe(self, snapshot: Callable[[], Snapshot]) -> None:
        """Set where snapshots come from, once there is a pipeline."""
        self._snapshot = snapshot

    def stream_changed(self, state: StreamState) -> None:
        """Queue a stream's new state, from any thread; returns at once."""
        with self._lock:
            self._changed.pop(state.stream, None)
            self._changed[state.stream] = state
        self._news.set()

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        """Queue what has happened, from any thread; returns at once."""
        with self._lock:
            room = _MOST_HAPPENINGS - len(self._happened)
            self._happened += happenings[:room]
            self._lost += sum(isinstance(each, Event) for each in happenings[room:])
        self._news.set()

    def say(self, message: Started | Failed | Answered | Detected) -> None:
        """Queue a message behind the states so far."""
        with self._lock:
            self._said.append(message)
        self._news.set()

    def send_now(self) -> None:
        """Send a snapshot now."""
        self._due_s = 0.0
        self._news.set()

    def wake(self) -> None:
        """Make the thread check whether to stop."""
        self._news.set()

    def run_once(self) -> None:
        """Wait for something to send and send it."""
        self._news.wait(max(self._due_s - time.monotonic(), 0.0))
        self._news.clear()
        self._send_news()
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + self._every_s
            self._send_snapshot()

    def failed(self, error: Exception) -> float:
        """Stop if the pipe to the parent is closed; `main` notices a lost parent by itself."""
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
            happened, self._happened = self._happened, []
            lost, self._lost = self._lost, 0
            said, self._said = self._said, []
        events = [Happened(tuple(happened), lost)] if happened or lost else []
        # States first: a zone's count is known only while its stream is live.
        messages: Sequence[News] = [*map(Changed, changed.values()), *events, *said]
        for message in messages:
            send(self._descriptor, message)

    def _send_snapshot(self) -> None:
        if self._snapshot is not None:
            send(self._descriptor, self._snapshot())


class ParentCommands(Worker):
    """Executes commands from the parent on standard input. The parent closes it to stop us, or by ending."""

    def __init__(self, inbox: Inbox, reports: ParentReports) -> None:
        super().__init__("parent")
        self.parts: WorkerParts | None = None
        """The parts that commands apply to, once they exist."""
        self.told_to_stop = threading.Event()
        self._inbox = inbox
        self._reports = reports
        self._images = ThreadPoolExecutor(_IMAGES_AT_ONCE, thread_name_prefix="detect")

    def run_once(self) -> None:
        """Wait for commands and execute them."""
        for message in self._inbox.wait(_INBOX_S):
            if isinstance(message, Change):
                self._change(message)
            elif isinstance(message, Detect):
                self._images.submit(self._detect, message)
            elif isinstance(message, RetryLogins):
                if self.parts is not None:
                    self.parts.pipeline.retry()
            else:
                self._reports.send_now()
        if self._inbox.ended:
            self.told_to_stop.set()
            self.stopping.set()

    def ended(self) -> None:
        """Stop detecting in images."""
        self._images.shutdown(wait=False, cancel_futures=True)

    def _change(self, change: Change) -> None:
        from framelane.config.checks.secrets import register_secrets  # noqa: PLC0415 - as in `main`

        failure: Failed | None = Failed(1, "the change failed; its log says why")
        parts = self.parts
        register_secrets(change.config)
        try:
            if parts is not None:
                parts.pipeline.prepare(change.config)
                if change.commit:
                    parts.pipeline.commit(change.config)
                failure = None
        except FramelaneError as error:
            failure = Failed.of(error)
        finally:
            # The parent waits for an answer in any case.
            models = () if parts is None else tuple(parts.pipeline.models)
            self._reports.say(Answered(change.number, models, failure))

    def _detect(self, request: Detect) -> None:
        refusal: tuple[str, str] | None = (
            "failed",
            "the worker failed to process the image; its log says why",
        )
        result = None
        parts = self.parts
        try:
            # The parent sends images only to a worker that has reported Started.
            if parts is not None:
                detector = parts.pipeline.detector
                result = detector.detect(request.image.unpack(), request.model, request.confidence)
                refusal = None
        except RequestError as error:
            refusal = error.reason, str(error)
        finally:
            self._reports.say(Detected(request.number, result, refusal))


def main() -> None:
    """Read the order from standard input and run until it is closed.

    Exit with the codes of `framelane run`.
    """
    # Ctrl-C, systemd and a closing terminal signal all processes; the parent decides.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    inbox = Inbox(_STDIN)
    order = _take_order(inbox)
    _die_with(order.parent)
    from framelane.config.checks.secrets import register_secrets  # noqa: PLC0415 - signals first
    from framelane.core.log import setup  # noqa: PLC0415

    register_secrets(order.config)
    setup(order.config.log.level, order.config.log.format, tags={"process": order.name})
    reports = ParentReports(order.answer_to)
    reports.start()
    code = _run(order, inbox, reports)
    reports.stop(order.config.node.shutdown_s)
    # The parent need not wait for whatever delays the end of this process.
    os.close(order.answer_to)
    if code == DeviceLostError.exit_code:
        # Threads that hang in the driver would block a normal exit.
        os._exit(code)
    sys.exit(code)


def _run(order: Order, inbox: Inbox, reports: ParentReports) -> int:
    from framelane.fleet.worker_parts import WorkerParts  # noqa: PLC0415 - signals first

    commands = ParentCommands(inbox, reports)
    commands.start()
    timeout_s = order.config.node.shutdown_s
    parts: WorkerParts | None = None
    try:
        commands.parts = parts = WorkerParts(
            order.config, order.name, reports.stream_changed, reports, socket.socket(fileno=order.media)
        )
        reports.observe(parts.snapshot)
        parts.start()
        reports.say(Started(parts.run, tuple(parts.pipeline.models)))
        while not commands.told_to_stop.wait(_LOOK_S):
            if parts.pipeline.fatal is not None:
                raise parts.pipeline.fatal
    except FramelaneError as error:
        if error.ends_at_once:
            timeout_s = min(timeout_s, _LAST_WORDS_S)
        reports.say(Failed.of(error))
        return error.exit_code
    finally:
        if parts is not None:
            parts.stop(timeout_s)
    return 0


def _take_order(inbox: Inbox) -> Order:
    while not inbox.ended:
        for message in inbox.wait(_INBOX_S):
            if isinstance(message, Order):
                return message
    sys.exit("framelane.fleet: worker processes are started by `framelane run`")


def _die_with(parent: int) -> None:
    """Have the kernel kill us when our parent dies (prctl(2)): a killed parent can't tell us to stop."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
