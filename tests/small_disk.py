"""A file system that a test can fill."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from framelane.measure.errors import BenchError
from lab import small_disk
from lab.small_disk import fill_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["fill_up", "small_file_system"]


@contextmanager
def small_file_system(folder: Path, size: str) -> Iterator[Path]:
    """Mount one of this size, such as "8m", in a new folder. Skip the test without the rights to do so."""
    with ExitStack() as held:
        try:
            mounted = held.enter_context(small_disk.small_file_system(folder, size))
        except BenchError as error:
            pytest.skip(str(error))
        yield mounted
