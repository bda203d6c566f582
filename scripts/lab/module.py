"""Runs modules of the lab as processes of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.measure.process import Child

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCRIPTS = str(Path(__file__).resolve().parents[1])


def environment() -> dict[str, str]:
    """Variables with which a process finds the lab."""
    path = os.pathsep.join(filter(None, [_SCRIPTS, os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path}


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a module, such as "drain"."""
    return [sys.executable, "-m", f"lab.{module}", *arguments]


def lab_child(name: str, folder: Path, module: str, arguments: Sequence[str] = ()) -> Child:
    """A module as a child process; see Child."""
    return Child(name, command(module, *arguments), folder, environment())
