"""Measure the time from a daemon's process start to READY=1, and the share of imports."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.measure.errors import BenchError
from framelane.measure.process import Child

if TYPE_CHECKING:
    from pathlib import Path

# Modules that `framelane run` imports; GPU modules only if they are installed.
MODULES = (
    "framelane.service",
    "framelane.web.server",
    "framelane.inference.backends.cuda.backend",
    "framelane.gpu.nvml",
    "pycuda.driver",
    "tensorrt",
)
_IMPORT_THEN_RUN = """
import importlib, sys, time
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
sys.argv = ["framelane", "run", sys.argv[1]]
from framelane.cli import main
print(time.monotonic(), flush=True)
main()
"""


@dataclass(frozen=True, slots=True)
class StartUp:
    """Times of one start, in seconds.

    Attributes:
        imports_s: from the process's start until all modules were imported.
        ready_s: from there to READY=1: models loaded, every stream's thread and every sink running.
    """

    imports_s: float
    ready_s: float


def measure_startup(config: Path, folder: Path, timeout_s: float = 60.0) -> StartUp:
    """Start a daemon, act as its service manager until READY=1, and stop it.

    Raises:
        BenchError: it ends, or does not send READY=1 in time.
    """
    address = folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as news:
        news.bind(str(address))
        news.settimeout(1.0)
        command = [sys.executable, "-c", _IMPORT_THEN_RUN, str(config), *MODULES]
        child = Child("startup", command, folder, {"NOTIFY_SOCKET": str(address)})
        began_s = time.monotonic()
        with child:
            imported_s = float(child.read_line(timeout_s))
            ready_s = _wait_for_ready(news, child, began_s + timeout_s)
    return StartUp(imported_s - began_s, ready_s - imported_s)


def _wait_for_ready(news: socket.socket, child: Child, deadline_s: float) -> float:
    while time.monotonic() < deadline_s:
        try:
            message = news.recv(4096)
        except TimeoutError:
            child.usage()
            continue
        if b"READY=1" in message:
            return time.monotonic()
    raise BenchError("the daemon didn't send READY=1 in time")
