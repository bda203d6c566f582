"""Child processes of benchmarks and soaks: starts, queries, measures and always stops them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import psutil

from framelane.core.log import setup
from framelane.measure.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection

_P = ParamSpec("_P")
_R = TypeVar("_R")

_STOP_TIMEOUT_S = 15.0
_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources of a process and its children: CPU seconds since their start, and current memory and handles.

    Shared memory counts for each of them.
    """

    cpu_s: float
    rss_mb: float
    threads: int
    descriptors: int


def usage_of(pid: int) -> Usage:
    """Return the usage of a process and its children.

    Raises:
        BenchError: the process has ended.
    """
    try:
        process = psutil.Process(pid)
        own = _usage(process)
        children = process.children(recursive=True)
    except psutil.NoSuchProcess as error:
        raise BenchError(f"process {pid} has ended while it was measured") from error
    for child in children:
        # The usage of a child that has ended is lost.
        with contextlib.suppress(psutil.NoSuchProcess):
            own = _sum(own, _usage(child))
    return own


def usage_alone(pid: int) -> Usage:
    """Return the usage of a process without its children.

    Raises:
        BenchError: the process has ended.
    """
    try:
        return _usage(psutil.Process(pid))
    except psutil.NoSuchProcess as error:
        raise BenchError(f"process {pid} has ended while it was measured") from error


def peak_rss_mb(pid: int) -> float:
    """Return the sum of the peak memory of a process and its children (VmHWM of proc(5)).

    0 if the system does not tell.
    """
    try:
        pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_peak_rss_mb(each) for each in pids)


def _usage(process: psutil.Process) -> Usage:
    times = process.cpu_times()
    held_mb = process.memory_info().rss / 1e6
    return Usage(times.user + times.system, held_mb, process.num_threads(), process.num_fds())


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.cpu_s + other.cpu_s,
        one.rss_mb + other.rss_mb,
        one.threads + other.threads,
        one.descriptors + other.descriptors,
    )


def _peak_rss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0.0
    sizes = (int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))
    return next(sizes, 0.0)


def in_child(work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Call a function in a new Python process, to separate its CPU and memory.

    Function, arguments and result must be picklable, and the caller's main module importable.
    """
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, fresh, initializer=setup, initargs=("warning",)) as pool:
        return pool.submit(work, *args, **kwargs).result()


class Child:
    """A process that answers in lines: `with Child("broker", [...], folder) as child: child.read_line(5)`.

    Args:
        name: its name in messages; its standard error goes to `<name>.log`.
        command: what to run.
        folder: where the log goes.
        environment: variables in addition to ours.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self._log = folder / f"{name}.log"
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None
        self._unanswered = 0

    def __enter__(self) -> Child:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process, unless it was started already."""
        if self._process is not None:
            return
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(  # noqa: S603 - benchmarks' own commands
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
                env=self._environment,
            )
        threading.Thread(target=self._listen, name=f"{self.name}-lines", daemon=True).start()

    def read_line(self, timeout_s: float) -> str:
        """Return the next line of its standard output.

        Raises:
            BenchError: no line comes in time, or the process has ended.
        """
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise BenchError(f"{self.name} says nothing for {timeout_s:g} s{self._tail()}") from None
        if line is None:
            raise BenchError(f"{self.name} has ended with exit code {self._running.wait()}{self._tail()}")
        return line

    def ask(self, question: str, timeout_s: float = 10.0) -> str:
        """Send a line and return the answer, skipping late answers to earlier lines.

        Raises:
            BenchError: no answer comes in time, or the process has ended.
        """
        pipe = self._running.stdin
        assert pipe is not None  # noqa: S101 - `start` made it
        try:
            pipe.write(f"{question}\n")
        except BrokenPipeError as error:
            raise BenchError(f"{self.name} has ended{self._tail()}") from error
        self._unanswered += 1
        while self._unanswered:
            answer = self.read_line(timeout_s)
            self._unanswered -= 1
        return answer

    def usage(self) -> Usage:
        """Return its usage so far.

        Raises:
            BenchError: the process has ended.
        """
        if not self.alive:
            raise BenchError(f"{self.name} has ended{self._tail()}")
        return usage_of(self.pid)

    def stop(self, timeout_s: float = _STOP_TIMEOUT_S) -> int:
        """Send SIGTERM, then SIGKILL if needed, and return the exit code. May be called repeatedly."""
        process = self._running
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
        code = process.wait()
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        return code

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise BenchError(f"{self.name} was not started")
        return self._process

    def _listen(self) -> None:
        """Read its output, because a full pipe would block the child."""
        output = self._running.stdout
        assert output is not None  # noqa: S101 - `start` made it
        with output:
            for line in output:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _tail(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        return "".join(f"\n  {line}" for line in lines)


def end_on_sigterm() -> None:
    """Make SIGTERM leave through `finally` and `with`, like Ctrl-C, so that no child is left behind."""

    def leave(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def answer_of(end: Connection, timeout_s: float | None = None) -> Any:  # noqa: ANN401 - whatever the child sends
    """Return the next object from a child process at the other end of a pipe.

    Args:
        end: our end.
        timeout_s: seconds to wait; None for no limit.

    Raises:
        BenchError: the child sent it, has ended, or sends nothing in time.
    """
    if timeout_s is not None and not end.poll(timeout_s):
        raise BenchError(f"a process of the benchmark says nothing for {timeout_s:g} s")
    try:
        answer = end.recv()
    except EOFError as error:
        raise BenchError("a process of the benchmark has ended") from error
    if isinstance(answer, BenchError):
        raise answer
    return answer
