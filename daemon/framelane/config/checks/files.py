"""Finds files that a key names and that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from framelane.config.keypath import KeyPath, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


def file_faults(path: KeyPath, file: str | None) -> Iterator[Problem]:
    """Require the file that this key names, if it names one."""
    if file is None or Path(file).is_file():
        return
    what = "is a folder, not a file" if Path(file).is_dir() else "there is no such file"
    yield Problem(path, f"{what}: {file}")
