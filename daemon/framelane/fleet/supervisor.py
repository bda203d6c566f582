"""Looks after one worker process: starts it, listens, and starts it again when it ends or falls silent."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.core.backoff import Backoff
from framelane.core.errors import ConfigError, FramelaneError
from framelane.core.worker import Worker
from framelane.fleet.link import (
    Answered,
    Ask,
    Change,
    Changed,
    Failed,
    Hurry,
    LinkBrokenError,
    Snapshot,
    Started,
)
from framelane.fleet.process import COMMAND, WorkerProcess, described
from framelane.fleet.share import config_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from framelane.config.schema import Config
    from framelane.core.clock import Clock
    from framelane.core.frames import ModelInfo
    from framelane.fleet.link import News
    from framelane.fleet.share import Share
    from framelane.telemetry.states import StreamState

log = structlog.get_logger(__name__)

_UNAWAITED = -1
DEVICE_LOST = 70
"""Exit code of a process whose GPU can't be used any more; the next one may have it back."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a supervisor waits, and how often it tries.

    Attributes:
        look_s: between two looks whether it is to stop.
        silence_s: without a word from a worker that runs, until it is taken to hang.
        start_s: the same for one that has yet to start, which may build an engine.
        first_s: before the first restart; doubles from there.
        most_s: the most before a restart.
        proven_s: after so long the first restart comes quickly again.
        deaths: most ends by a lost GPU, by hanging, or before a first start, within `deaths_s`; then the daemon ends.
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
    """A worker process has ended, or had to be ended; ends the daemon with the same code where that is asked for."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class WorkerHungError(WorkerLostError):
    """A worker process did not get on any more, and was killed."""


class Desk(Protocol):
    """Who is told what the workers say; called on the supervisors' threads."""

    def started(self, share: Share, message: Started) -> None:
        """A worker's parts all run."""
        ...

    def changed(self, state: StreamState) -> None:
        """A stream has a new state."""
        ...

    def reported(self, share: Share, snapshot: Snapshot) -> None:
        """A worker's figures, every second."""
        ...

    def ended_worker(self, share: Share, text: str | None) -> None:
        """A worker is gone; `text` says why, None where it was told to."""
        ...

    def models_loaded(self, models: Iterable[ModelInfo], config: Config) -> None:
        """A worker has these models, loaded as a configuration says."""
        ...

    def played(self, share: Share) -> Collection[str]:
        """Its streams that have been played to their end."""
        ...

    def gave_up(self, error: FramelaneError) -> None:
        """A worker can't be had; the daemon must end."""
        ...


@dataclass(frozen=True, slots=True)
class _Duty:
    """What a worker is to run."""

    share: Share
    config: Config


@dataclass(frozen=True, slots=True)
class _Awaited:
    """An answer of the worker: to what, and whether it is to go over to that."""

    answer: Future[None]
    duty: _Duty
    commit: bool


class Supervisor(Worker):
    """One worker, for ever."""

    def __init__(
        self,
        share: Share,
        config: Config,
        desk: Desk,
        clock: Clock,
        patience: Patience = Patience(),
        command: Sequence[str] = COMMAND,
    ) -> None:
        super().__init__(f"worker-{share.name}")
        self.restarts = 0
        self.up = False
        """Whether the worker runs, models loaded."""
        self.idle = False
        """Whether there is nothing for it to do; it has no process then."""
        self.settled = threading.Event()
        """Set when it has started for the first time, or never will."""
        self._released = threading.Event()
        self.pid: int | None = None
        self._duty = _Duty(share, config)
        self._desk = desk
        self._clock = clock
        self._patience = patience
        self._command = command
        self._backoff = Backoff(patience.first_s, patience.most_s)
        self._deaths: deque[float] = deque(maxlen=patience.deaths)
        self._ever_started = False
        self._began_s = 0.0
        self._kill_s = float("inf")
        self._failure: Failed | None = None
        self._process: WorkerProcess | None = None
        self._told = self._duty  # what the process was started with
        self._left_out: set[str] = set()
        self._awaited: dict[int, _Awaited] = {}
        self._lock = threading.Lock()  # of what is awaited, and of whether the worker is up

    @property
    def share(self) -> Share:
        """The worker's part, as of now."""
        return self._duty.share

    def ask(self) -> None:
        """Have the worker send a snapshot now; from any thread."""
        process = self._process
        if process is not None:
            process.tell(Ask())

    def hurry(self) -> None:
        """Have the worker try again at once what waits for its next login; from any thread."""
        process = self._process
        if process is not None:
            process.tell(Hurry())

    def prepare(self, number: int, share: Share, config: Config) -> Future[None]:
        """Have the worker make ready for other streams.

        Done when it has answered, with its error if it can't; at once where it is not up.
        """
        return self._tell(number, _Duty(share, config), commit=False)

    def assign(self, number: int, share: Share, config: Config) -> Future[None]:
        """Have the worker go over to other streams, now or when it is up; done when it has answered, likewise."""
        self._duty = _Duty(share, config)
        return self._tell(number, self._duty, commit=True)

    def finish(self, timeout_s: float) -> None:
        """Tell the worker to drain; it is killed after `timeout_s`. Returns at once; `join` waits."""
        self._kill_s = self._clock.monotonic() + timeout_s
        self.stopping.set()

    def run_once(self) -> None:
        """One worker, from its start to its end; or a moment without one, while there is nothing to do."""
        duty = self._duty
        played = self._desk.played(duty.share)
        self.idle = set(duty.share.streams) <= set(played)
        if self.idle:
            # The daemon runs without it: what fails later is a matter of its streams.
            self._ever_started = True
            self.settled.set()
            self.stopping.wait(self._patience.look_s)
            return
        self._began_s, self._failure, self._told = self._clock.monotonic(), None, duty
        self._left_out = set(played)
        config = config_of(duty.config, duty.share, self._left_out)
        with WorkerProcess(duty.share, config, self._command) as process:
            if not self._is_released():
                return
            process.begin()
            self.pid, self._process = process.pid, process
            self._listen(process)
            code = process.wait()
        self._mark_down()
        if not self.stopping.is_set():
            raise WorkerLostError(f"its worker process {self.share.name} {described(code)}", code or 0)
        self._desk.ended_worker(self.share, None)

    def failed(self, error: Exception) -> float:
        """Have its streams shown as down, and say after how long to start it again."""
        self._mark_down()
        if not isinstance(error, (WorkerLostError, LinkBrokenError, OSError)):
            log.error("worker_failed", worker=self.name, exc_info=error)
        text = str(error) if self._failure is None else f"its worker process says: {self._failure.text}"
        self._desk.ended_worker(self.share, text)
        last_straw = self._last_straw(error)
        if last_straw is not None:
            self._desk.gave_up(last_straw)
            self.stopping.set()
            return 0.0
        if self._clock.monotonic() - self._began_s > self._patience.proven_s:
            self._backoff.reset()
        self.restarts += 1
        wait_s = self._backoff.next_s()
        log.error("worker_down", worker=self.share.name, text=text, retry_s=round(wait_s, 1))
        return wait_s

    def ended(self) -> None:
        """Nobody waits for it any more."""
        self.settled.set()

    def release(self) -> None:
        """Let the worker load its models. Until then its process does what needs no order, which takes seconds."""
        self._released.set()

    def _is_released(self) -> bool:
        """Wait until it is; False where the daemon ends before."""
        while not self._released.wait(self._patience.look_s):
            if self.stopping.is_set():
                return False
        self._began_s = self._clock.monotonic()
        return True

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
            messages = process.listen(self._patience.look_s)
            for message in messages:
                self._take(message)
            if messages:
                heard_s = now_s
            elif process.gone:  # and somebody else keeps the pipe open
                return
            elif now_s - heard_s > (self._patience.silence_s if self.up else self._patience.start_s):
                raise WorkerHungError(
                    f"its worker process {self.share.name} said nothing for {now_s - heard_s:.0f} s and was killed"
                )

    def _take(self, message: News) -> None:
        if isinstance(message, Changed):
            self._desk.changed(message.state)
        elif isinstance(message, Snapshot):
            self._desk.reported(self.share, message)
            self._end_if_hung(message)
        elif isinstance(message, Failed):
            self._failure = message
        elif isinstance(message, Answered):
            self._take_answer(message)
        else:
            with self._lock:
                self.up = self._ever_started = True
            self._desk.models_loaded(message.models, self._told.config)
            self._desk.started(self.share, message)
            self._catch_up()
            self.settled.set()

    def _end_if_hung(self, snapshot: Snapshot) -> None:
        """Alone, a process with such ailments would be ended by its watchdog; here the others need not end with it."""
        if snapshot.ailments and not self.stopping.is_set():
            why = "; ".join(snapshot.ailments)
            raise WorkerHungError(
                f"its worker process {self.share.name} did not get on and was killed: {why}"
            )

    def _tell(self, number: int, duty: _Duty, *, commit: bool) -> Future[None]:
        answer: Future[None] = Future()
        with self._lock:
            process = self._process if self.up else None
            if process is not None:
                self._awaited[number] = _Awaited(answer, duty, commit)
        if process is None:
            answer.set_result(None)
        else:
            process.tell(self._order(number, duty, commit=commit))
        return answer

    def _catch_up(self) -> None:
        """Its duty may have changed while it started."""
        duty = self._duty
        if duty is not self._told and self._process is not None:
            self._process.tell(self._order(_UNAWAITED, duty, commit=True))

    def _order(self, number: int, duty: _Duty, *, commit: bool) -> Change:
        """What was played before the worker started stays out, unless it was changed and is to be played again."""
        self._left_out &= set(self._desk.played(duty.share))
        return Change(number, config_of(duty.config, duty.share, self._left_out), commit)

    def _take_answer(self, message: Answered) -> None:
        """Who can't go over to what others went over to starts again, to run that or to say why not."""
        failure = message.failure
        with self._lock:
            awaited = self._awaited.get(message.number)
            duty = self._duty if awaited is None else awaited.duty
            self._desk.models_loaded(message.models, duty.config)
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

    def _last_straw(self, error: Exception) -> FramelaneError | None:
        """The error that the daemon ends with, None where another try is due."""
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
        if len(self._deaths) == self._patience.deaths and now_s - self._deaths[0] <= self._patience.deaths_s:
            return WorkerLostError(text, DEVICE_LOST if code == DEVICE_LOST else 1)
        return None


def _error_of(failure: Failed) -> FramelaneError:
    """What a worker's own process would have ended with."""
    if failure.findings:
        return ConfigError(list(failure.findings))
    return WorkerLostError(failure.text, failure.exit_code)
