"""A file system that can be filled."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from framelane.measure.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = b"x" * 4096
_AGAIN_S = 0.1


@contextmanager
def small_file_system(folder: Path, size: str) -> Iterator[Path]:
    """Mount one of this size, such as "8m", in a new folder.

    Raises:
        BenchError: this user may not mount.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise BenchError("needs root, to mount a file system that can be filled")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill_up(path: Path) -> None:
    """Make the file as large as its file system allows."""
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(_PIECE)


def keep_full(path: Path, seconds: float) -> None:
    """Take all space with the file for some seconds, also what others give up meanwhile; then remove the file."""
    deadline_s = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline_s:
            fill_up(path)
            time.sleep(_AGAIN_S)
    finally:
        path.unlink()
