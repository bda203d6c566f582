"""Starts one worker process, listens to it, and restarts it when it ends or hangs."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from framelane.core.backoff import Backoff
from framelane.core.errors import ConfigError, FramelaneError
from framelane.core.worker import Worker
from framelane.fleet.image_requests import ImageRequests
from framelane.fleet.process import COMMAND, WorkerProcess, described
from framelane.fleet.protocol import (
    Answered,
    Ask,
    Change,
    Changed,
    Detected,
    Failed,
    Happened,
    PipeBrokenError,
    RetryLogins,
    Snapshot,
)
from framelane.fleet.share import config_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.sections.schema import Config
    from framelane.core.clock import Clock
    from framelane.core.frames import Result
    from framelane.fleet.packed_image import PackedImage
    from framelane.fleet.protocol import News
    from framelane.fleet.share import Share
    from framelane.fleet.supervisor_events import SupervisorEvents

log = structlog.get_logger(__name__)

_UNAWAITED = -1
"""Number of a Change whose answer no caller waits for."""
DEVICE_LOST = 70
"""Exit code of a process that lost its GPU; a new process may get it back."""


@dataclass(frozen=True, slots=True)
class SupervisorTimeouts:
    """The timeouts and retries of a supervisor.

    Attributes:
        look_s: seconds between two checks whether to stop.
        silence_s: a running worker that sends nothing for this many seconds is considered hung.
        start_s: the same for a worker that is still starting, which may build an engine.
        first_s: seconds before the first restart; doubles with each restart.
        most_s: most seconds before a restart.
        proven_s: a worker that ran this long resets the backoff.
        deaths: the daemon ends after this many ends within `deaths_s` by a lost GPU, by hanging, or
            before the first start.
        deaths_s: see `deaths`.
    """

    look_s: float = 0.2
    silence_s: float = 30.0
    start_s: float = 1800.0
    first_s: float = 1.0
    most_s: float = 60.0
    proven_s: float = 60.0
    deaths: int = 5
    deaths_s: float = 600.0


class WorkerLostError(FramelaneError):
    """A worker process has ended or was killed; `exit_code` is the daemon's if it must end too."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class WorkerHungError(WorkerLostError):
    """A worker process made no progress and was killed."""


@dataclass(frozen=True, slots=True)
class _Assignment:
    """The assignment of a worker."""

    share: Share
    config: Config


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A Change that the worker has yet to answer; `commit` says whether it switches to the assignment."""

    answer: Future[None]
    assignment: _Assignment
    commit: bool


class Supervisor(Worker):
    """Keeps one worker process running."""

    def __init__(
        self,
        share: Share,
        config: Config,
        events: SupervisorEvents,
        clock: Clock,
        timeouts: SupervisorTimeouts = SupervisorTimeouts(),
        command: Sequence[str] = COMMAND,
    ) -> None:
        super().__init__(f"worker-{share.name}")
        self.restarts = 0
        self.up = False
        """Whether the worker runs, with its models loaded."""
        self.idle = False
        """Whether it has nothing to do, and so no process."""
        self.settled = threading.Event()
        """Set when the worker has started for the first time, or never will."""
        self.pid: int | None = None
        self.models: frozenset[str] = frozenset()
        """Names of the models that the worker has loaded."""
        self._assignment = _Assignment(share, config)
        self._events = events
        self._clock = clock
        self._timeouts = timeouts
        self._command = command
        self._backoff = Backoff(timeouts.first_s, timeouts.most_s)
        self._deaths: deque[float] = deque(maxlen=timeouts.deaths)
        self._ever_started = False
        self._began_s = 0.0
        self._kill_s = float("inf")
        self._failure: Failed | None = None
        self._process: WorkerProcess | None = None
        # What the process was started with.
        self._started_with = self._assignment
        self._left_out: set[str] = set()
        self._awaited: dict[int, _Awaited] = {}
        self._images = ImageRequests()
        # Guards `_awaited` and `up`.
        self._lock = threading.Lock()

    @property
    def share(self) -> Share:
        """The worker's current share."""
        return self._assignment.share

    def ask(self) -> None:
        """Have the worker send a snapshot now; from any thread."""
        process = self._process
        if process is not None:
            process.tell(Ask())

    def retry_logins(self) -> None:
        """Have the worker retry now the cameras that refused a login; from any thread."""
        process = self._process
        if process is not None:
            process.tell(RetryLogins())

    def detect(self, image: PackedImage, model: str | None, confidence: float | None) -> Future[Result]:
        """Have the worker find objects in an image, from any thread; the result fails with RequestError."""
        with self._lock:
            process = self._process if self.up else None
        return self._images.ask(process, image, model, confidence)

    def prepare(self, number: int, share: Share, config: Config) -> Future[None]:
        """Have the worker prepare for another share.

        The result is done when the worker has answered, with its error if it can't; at once if it does not
        run.
        """
        return self._tell(number, _Assignment(share, config), commit=False)

    def assign(self, number: int, share: Share, config: Config) -> Future[None]:
        """Have the worker switch to another share, now or when it has started.

        The result is as of `prepare`.
        """
        self._assignment = _Assignment(share, config)
        return self._tell(number, self._assignment, commit=True)

    def finish(self, timeout_s: float) -> None:
        """Tell the worker to drain, and kill it after `timeout_s`. Returns at once; `join` waits."""
        self._kill_s = self._clock.monotonic() + timeout_s
        self.stopping.set()

    def run_once(self) -> None:
        """Run one worker process from start to end; while there is nothing to do, only wait a moment."""
        assignment = self._assignment
        played = self._events.played(assignment.share)
        self.idle = set(assignment.share.streams) <= set(played) and not assignment.share.standby
        if self.idle:
            # The daemon runs without this worker, so a later failure concerns only its streams.
            self._ever_started = True
            self.settled.set()
            self.stopping.wait(self._timeouts.look_s)
            return
        self._began_s, self._failure, self._started_with = self._clock.monotonic(), None, assignment
        self._left_out = set(played)
        config = config_of(assignment.config, assignment.share, self._left_out)
        with WorkerProcess(assignment.share, config, self._command) as process:
            self.pid, self._process = process.pid, process
            self._events.linked(process.media)
            self._listen(process)
            code = process.wait()
        self._mark_down()
        if not self.stopping.is_set():
            raise WorkerLostError(f"its worker process {self.share.name} {described(code)}", code or 0)
        self._events.ended_worker(self.share, None)

    def failed(self, error: Exception) -> float:
        """Report its streams as down; return the seconds until the next start."""
        self._mark_down()
        if not isinstance(error, (WorkerLostError, PipeBrokenError, OSError)):
            log.error("worker_failed", worker=self.name, exc_info=error)
        text = str(error) if self._failure is None else f"its worker process says: {self._failure.text}"
        self._events.ended_worker(self.share, text)
        fatal = self._fatal_error(error)
        if fatal is not None:
            self._events.gave_up(fatal)
            self.stopping.set()
            return 0.0
        if self._clock.monotonic() - self._began_s > self._timeouts.proven_s:
            self._backoff.reset()
        self.restarts += 1
        wait_s = self._backoff.next_s()
        log.error("worker_down", worker=self.share.name, text=text, retry_s=round(wait_s, 1))
        return wait_s

    def ended(self) -> None:
        """Wake the threads that wait for the first start."""
        self.settled.set()

    def _listen(self, process: WorkerProcess) -> None:
        heard_s = self._clock.monotonic()
        while not process.closed:
            now_s = self._clock.monotonic()
            if self.stopping.is_set():
                process.stop()
            if now_s > self._kill_s:
                log.warning("worker_killed", worker=self.share.name, text="it did not end in time")
                process.kill()
                return
            messages = process.listen(self._timeouts.look_s)
            for message in messages:
                self._take(message)
            if messages:
                heard_s = now_s
            # It has ended, but another process keeps the pipe open.
            elif process.gone:
                return
            elif now_s - heard_s > (self._timeouts.silence_s if self.up else self._timeouts.start_s):
                raise WorkerHungError(
                    f"its worker process {self.share.name} said nothing for {now_s - heard_s:.0f} s and was killed"
                )

    def _take(self, message: News) -> None:
        if isinstance(message, Changed):
            self._events.changed(message.state)
        elif isinstance(message, Happened):
            self._events.happened(message)
        elif isinstance(message, Snapshot):
            self._events.reported(self.share, message)
            self._end_if_hung(message)
        elif isinstance(message, Failed):
            self._failure = message
        elif isinstance(message, Answered):
            self._take_answer(message)
        elif isinstance(message, Detected):
            self._images.take(message)
        else:
            self.models = frozenset(model.name for model in message.models)
            with self._lock:
                self.up = self._ever_started = True
            self._events.models_loaded(message.models, self._started_with.config)
            self._events.started(self.share, message)
            self._catch_up()
            self.settled.set()

    def _end_if_hung(self, snapshot: Snapshot) -> None:
        """Kill the worker if it judges itself not alive. The watchdog would end the other workers too."""
        if snapshot.liveness_reasons and not self.stopping.is_set():
            why = "; ".join(snapshot.liveness_reasons)
            raise WorkerHungError(
                f"its worker process {self.share.name} made no progress and was killed: {why}"
            )

    def _tell(self, number: int, assignment: _Assignment, *, commit: bool) -> Future[None]:
        answer: Future[None] = Future()
        with self._lock:
            process = self._process if self.up else None
            if process is not None:
                self._awaited[number] = _Awaited(answer, assignment, commit)
        if process is None:
            answer.set_result(None)
        else:
            process.tell(self._order(number, assignment, commit=commit))
        return answer

    def _catch_up(self) -> None:
        """Send the current assignment if it changed while the worker started."""
        assignment = self._assignment
        if assignment is not self._started_with and self._process is not None:
            self._process.tell(self._order(_UNAWAITED, assignment, commit=True))

    def _order(self, number: int, assignment: _Assignment, *, commit: bool) -> Change:
        """Make a Change. Files played before the worker started stay out, unless they were changed since."""
        self._left_out &= set(self._events.played(assignment.share))
        return Change(number, config_of(assignment.config, assignment.share, self._left_out), commit)

    def _take_answer(self, message: Answered) -> None:
        """Complete the answered Change.

        A worker that can't switch is restarted: it then runs the new share or says why not.
        """
        failure = message.failure
        with self._lock:
            awaited = self._awaited.get(message.number)
            assignment = self._assignment if awaited is None else awaited.assignment
            self.models = frozenset(model.name for model in message.models)
            self._events.models_loaded(message.models, assignment.config)
            if failure is not None and (awaited is None or awaited.commit):
                name = self.share.name
                raise WorkerLostError(f"its worker process {name} says: {failure.text}", failure.exit_code)
            self._awaited.pop(message.number, None)
        if awaited is not None and failure is not None:
            awaited.answer.set_exception(_error_of(failure))
        elif awaited is not None:
            awaited.answer.set_result(None)

    def _mark_down(self) -> None:
        with self._lock:
            self.up, self.pid, self._process = False, None, None
            awaited, self._awaited = self._awaited, {}
        for each in awaited.values():
            each.answer.set_result(None)
        self._images.fail()

    def _fatal_error(self, error: Exception) -> FramelaneError | None:
        """Return the error that the daemon must end with; None to restart the worker."""
        code = error.exit_code if isinstance(error, WorkerLostError) else 1
        text = f"a worker process can't be kept alive: {error}"
        if self._failure is not None:
            code, text = self._failure.exit_code, self._failure.text
            if not self._ever_started and code != DEVICE_LOST:
                return _error_of(self._failure)
        if self._ever_started and code != DEVICE_LOST and not isinstance(error, WorkerHungError):
            return None
        now_s = self._clock.monotonic()
        self._deaths.append(now_s)
        if len(self._deaths) == self._timeouts.deaths and now_s - self._deaths[0] <= self._timeouts.deaths_s:
            return WorkerLostError(text, DEVICE_LOST if code == DEVICE_LOST else 1)
        return None


def _error_of(failure: Failed) -> FramelaneError:
    """Return the error that the worker reported."""
    if failure.findings:
        return ConfigError(list(failure.findings))
    return WorkerLostError(failure.text, failure.exit_code)
