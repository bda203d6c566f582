"""Where state belongs, and the names of the files beside a database."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# SQLite's write-ahead log, next to the file.
_WAL = "-wal"


def state_folder(environ: Mapping[str, str], name: str) -> Path:
    """Return the folder for state of this name: systemd's, else the user's."""
    # systemd.exec(5): several folders are joined by colons.
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if state:
        return Path(state) / name
    home = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - takes no home for an answer
    return Path(home) / "framelane" / name


def make_folder(folder: Path) -> None:
    """Create a folder, for this user only.

    Raises:
        OSError: It can't be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid == os.geteuid():
        folder.chmod(0o700)


def wal_of(path: Path) -> Path:
    """Return the write-ahead log of a database."""
    return path.with_name(f"{path.name}{_WAL}")


def set_aside(path: Path) -> Path:
    """Rename a damaged database and its log for later inspection. Only the newest is kept.

    Raises:
        OSError: It can't be renamed.
    """
    aside = path.with_name(f"{path.name}.corrupt")
    wal_of(aside).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        wal_of(path).replace(wal_of(aside))
    path.replace(aside)
    return aside
