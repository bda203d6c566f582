"""NVIDIA's Multi-Process Service for one run: without it, processes take turns on a GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from framelane.bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "nvidia-cuda-mps-control"
_TIMEOUT_S = 10.0
_FOLDERS = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")


@contextmanager
def mps_daemon() -> Iterator[None]:
    """Start the control daemon on a pipe of its own; what is started in the block finds it by its environment.

    Raises:
        BenchError: the program isn't there, or doesn't start.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise BenchError(f"{PROGRAM} isn't there: it comes with NVIDIA's driver; measure without --mps")
    before = {name: os.environ.get(name) for name in _FOLDERS}
    with TemporaryDirectory(prefix="framelane-mps-") as folder:
        try:
            os.environ.update(dict.fromkeys(_FOLDERS, folder))
            _call([program, "-d"])
            try:
                yield
            finally:
                with suppress(BenchError):  # a server that takes its time must not cost the figures
                    _call([program], "quit\n")
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _call(command: list[str], said: str = "") -> None:
    try:
        # Its output to nowhere: the daemon that it leaves behind would hold a pipe open.
        code = subprocess.run(  # noqa: S603 - found on PATH
            command,
            input=said,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{PROGRAM}: {error}") from error
    if code:
        raise BenchError(f"{PROGRAM} ended with exit code {code}")
