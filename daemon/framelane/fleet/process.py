"""A worker process, seen from its parent: starts it, exchanges messages, ends it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import framelane
from framelane.fleet.protocol import Ask, Change, Detect, Inbox, Order, Orders, RetryLogins, send

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from framelane.config.sections.schema import Config
    from framelane.fleet.protocol import News
    from framelane.fleet.share import Share

COMMAND = (sys.executable, "-m", "framelane.fleet")
_WATCHDOG = ("WATCHDOG_USEC", "WATCHDOG_PID")
# A process inside a driver call may take this long to die, or never die.
_KILLED_S = 10.0
# Pipe capacity that holds the whole order, so that a child that hangs before reading it can't block us.
_ORDER_BYTES = 1 << 20


class WorkerProcess:
    """One process, as a context manager: on exit the process has ended, unless even SIGKILL failed.

    The kernel ends the process together with the thread that started it (PR_SET_PDEATHSIG), so that thread
    must outlive it.

    Raises:
        OSError: the process can't be started.
    """

    def __init__(self, share: Share, config: Config, command: Sequence[str] = COMMAND) -> None:
        self.name = share.name
        receiver, sender = os.pipe()
        self.media, theirs = socket.socketpair()
        """The socket on which the worker's streams are watched; the caller closes it."""
        self._receiver: int | None = receiver
        try:
            # The name is an argument, for `ps`; the configuration holds secrets, so it is sent through
            # standard input.
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [*command, share.name],
                stdin=subprocess.PIPE,
                pass_fds=[sender, theirs.fileno()],
                env=environment_of(share),
            )
        except OSError:
            os.close(receiver)
            self.media.close()
            raise
        finally:
            os.close(sender)
            number = theirs.fileno()
            theirs.close()
        # Past the user's pipe quota (pipe(7)) the default capacity must do.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, _ORDER_BYTES)
        self._inbox = Inbox(receiver)
        # Guards standard input: once closed, its descriptor number may soon be another file's.
        self._lock = threading.Lock()
        self._order = Order(config, share.name, os.getpid(), sender, number)

    def __enter__(self) -> WorkerProcess:
        """Send the order. A process that has died already is noticed by `listen`."""
        with contextlib.suppress(BrokenPipeError):
            send(self._stdin, self._order)
        return self

    def __exit__(self, *_: object) -> None:
        """End the process and free everything."""
        self.stop()
        self.kill()
        self.wait()
        if self._receiver is not None:
            os.close(self._receiver)
            self._receiver = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def closed(self) -> bool:
        """Whether it has sent its last message: it has ended, or is about to."""
        return self._inbox.ended

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def listen(self, timeout_s: float) -> list[News]:
        """Return its new messages, none after `timeout_s`.

        Raise PipeBrokenError if the bytes are no message.
        """
        return [message for message in self._inbox.wait(timeout_s) if not isinstance(message, Orders)]

    def stop(self) -> None:
        """Tell it to drain and end; may be called twice."""
        with self._lock:
            if self._process.stdin is not None:
                self._process.stdin.close()

    def tell(self, message: Ask | RetryLogins | Change | Detect) -> None:
        """Send a message, from any thread; does nothing if the process has ended."""
        with self._lock, contextlib.suppress(OSError):
            if self._process.stdin is not None and not self._process.stdin.closed:
                send(self._stdin, message)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()

    def wait(self, timeout_s: float = _KILLED_S) -> int | None:
        """Return its exit code, negative for a signal; None if it does not end within `timeout_s`."""
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
    """Return an exit code in words, for a stream's state."""
    if code is None:
        return "does not end"
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def environment_of(share: Share) -> dict[str, str]:
    """Return our environment, with the share's GPU as the only one and a PYTHONPATH that finds Framelane.

    Watchdog variables are removed, because the parent feeds the watchdog. `NOTIFY_SOCKET` stays: a worker
    asks for more time while it builds an engine.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _WATCHDOG}
    environ |= gpu_variables(share.gpu, environ)
    root = str(Path(framelane.__file__).parents[1])
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH")]))
    return environ


def gpu_variables(gpu: int | None, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables that limit a worker to one GPU, counted among those visible to us."""
    if gpu is None:
        return {}
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(gpu)] if visible is None else [name.strip() for name in visible.split(",")][gpu : gpu + 1]
    # CUDA's own order puts the fastest first; we use nvidia-smi's.
    order = environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return {"CUDA_DEVICE_ORDER": order, "CUDA_VISIBLE_DEVICES": "".join(names)}
