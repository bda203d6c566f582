"""NVIDIA's Multi-Process Service for one run: without it, processes take turns on a GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from framelane.measure.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "nvidia-cuda-mps-control"
_TIMEOUT_S = 10.0
_FOLDERS = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")


@contextmanager
def mps_daemon() -> Iterator[None]:
    """Start the control daemon on its own pipe; processes started in the block find it by the environment.

    Raises:
        BenchError: the program is missing, or doesn't start.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise BenchError(f"{PROGRAM} is missing: it comes with NVIDIA's driver; measure without --mps")
    before = {name: os.environ.get(name) for name in _FOLDERS}
    with TemporaryDirectory(prefix="framelane-mps-") as folder:
        try:
            os.environ.update(dict.fromkeys(_FOLDERS, folder))
            _call([program, "-d"])
            try:
                yield
            finally:
                # A server that stops slowly must not cost the figures.
                with suppress(BenchError):
                    _call([program], "quit\n")
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _call(command: list[str], said: str = "") -> None:
    try:
        # Discard its output, because the daemon that it leaves behind would hold a pipe open.
        code = subprocess.run(
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
