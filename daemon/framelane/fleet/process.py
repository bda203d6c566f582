"""A worker process as its parent holds it: start, listen, tell it to stop, see it end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import framelane
from framelane.fleet.link import Ask, Change, Hurry, Inbox, Order, Orders, send

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from framelane.config.schema import Config
    from framelane.fleet.link import News
    from framelane.fleet.share import Share

COMMAND = (sys.executable, "-m", "framelane.fleet")
_WATCHDOG = ("WATCHDOG_USEC", "WATCHDOG_PID")
_KILLED_S = 10.0  # a process within a driver's call may take that long to die, or not die at all
_ORDER_BYTES = 1 << 20  # of room in the pipe: who hangs before it reads the order must not hang us


class WorkerProcess:
    """One process, a context manager: it is gone, or hopeless, when the block ends.

    The kernel ends the process with the thread that made it (PR_SET_PDEATHSIG), so that thread must outlive it.

    Raises:
        OSError: it can't be started.
    """

    def __init__(self, share: Share, config: Config, command: Sequence[str] = COMMAND) -> None:
        self.name = share.name
        receiver, sender = os.pipe()
        self._receiver: int | None = receiver
        try:
            # By name for `ps`; the configuration, which holds secrets, comes through standard input.
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [*command, share.name],
                stdin=subprocess.PIPE,
                pass_fds=[sender],
                env=environment_of(share),
            )
        except OSError:
            os.close(receiver)
            raise
        finally:
            os.close(sender)
        with contextlib.suppress(OSError):  # past the user's quota of pipes (pipe(7)) the usual room must do
            fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, _ORDER_BYTES)
        self._inbox = Inbox(receiver)
        self._lock = threading.Lock()  # of standard input: a closed one's number is soon another file's
        self._order = Order(config, share.name, os.getpid(), sender)

    def __enter__(self) -> WorkerProcess:
        return self

    def begin(self) -> None:
        """Send the order; a process that has died already shows when it is listened to."""
        with contextlib.suppress(BrokenPipeError):
            send(self._stdin, self._order)

    def __exit__(self, *_: object) -> None:
        """End it, if it hasn't ended, and give everything back."""
        self.stop()
        self.kill()
        self.wait()
        if self._receiver is not None:
            os.close(self._receiver)
            self._receiver = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def closed(self) -> bool:
        """Whether it has said all: it has ended, or is about to."""
        return self._inbox.ended

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def listen(self, timeout_s: float) -> list[News]:
        """What it has said, nothing after `timeout_s`; raises LinkBrokenError where that is no message."""
        return [message for message in self._inbox.wait(timeout_s) if not isinstance(message, Orders)]

    def stop(self) -> None:
        """Tell it to drain and end; may be called again."""
        with self._lock:
            if self._process.stdin is not None:
                self._process.stdin.close()

    def tell(self, message: Ask | Hurry | Change) -> None:
        """Pass an order on; from any thread. One that has ended hears nothing."""
        with self._lock, contextlib.suppress(OSError):
            if self._process.stdin is not None and not self._process.stdin.closed:
                send(self._stdin, message)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self, timeout_s: float = _KILLED_S) -> int | None:
        """Its exit code, negative for a signal; None if it does not end."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    @property
    def _stdin(self) -> int:
        stdin = self._process.stdin
        if stdin is None:
            raise ValueError("standard input is a pipe")
        return stdin.fileno()


def described(code: int | None) -> str:
    """An exit code in words, for a stream's state."""
    if code is None:
        return "does not end"
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def environment_of(share: Share) -> dict[str, str]:
    """Ours, with its GPU as the only one, and Framelane where we found it.

    The watchdog is the parent's to feed. `NOTIFY_SOCKET` stays: a worker asks for more time while it builds an engine.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _WATCHDOG}
    environ |= gpu_variables(share.gpu, environ)
    root = str(Path(framelane.__file__).parents[1])
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH")]))
    return environ


def gpu_variables(gpu: int | None, environ: Mapping[str, str]) -> Mapping[str, str]:
    """What leaves a worker one GPU: of those that our own environment leaves, if it leaves out any."""
    if gpu is None:
        return {}
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(gpu)] if visible is None else [name.strip() for name in visible.split(",")][gpu : gpu + 1]
    # CUDA's own order puts the fastest first; ours is nvidia-smi's.
    order = environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return {"CUDA_DEVICE_ORDER": order, "CUDA_VISIBLE_DEVICES": "".join(names)}
