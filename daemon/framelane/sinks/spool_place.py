"""Where spools lie: a folder for each node, in it a file for each process that has a session with the broker."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from framelane.config.spool import SpoolConfig

MAIN = "main"
"""Name of the spool of a daemon's only process, or of the parent of several."""
_SUFFIX = ".spool"
_WAL = "-wal"  # SQLite's write-ahead log beside the file


@dataclass(frozen=True, slots=True)
class SpoolPlace:
    """Where one process has its spool, and whose it may take over.

    Attributes:
        folder: the node's.
        name: of the process among those of the node.
        adopts: whether it delivers what spools hold that are nobody's any more.
        others: asks for the names of the processes that have, or will have, the other spools.
    """

    folder: Path
    name: str = MAIN
    adopts: bool = True
    others: Callable[[], Collection[str]] = frozenset

    @property
    def path(self) -> Path:
        """The spool's file."""
        return self.folder / f"{self.name}{_SUFFIX}"

    def make(self) -> None:
        """Make the folder, for this user alone.

        Raises:
            OSError: It can't be made.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_uid == os.geteuid():
            self.folder.chmod(0o700)

    def orphans(self) -> list[Path]:
        """Spools of processes that there are no more, such as those of workers after `workers` was made smaller."""
        if not self.adopts:
            return []
        taken = {self.name, *self.others()}
        return [path for path in sorted(self.folder.glob(f"*{_SUFFIX}")) if path.stem not in taken]

    def inherit(self, orphan: Path) -> None:
        """Put a closed orphan in the place of our own closed and empty spool.

        Raises:
            OSError: It can't be done; nothing is lost.
        """
        wal_of(self.path).unlink(missing_ok=True)  # or SQLite would take it for the other file's
        orphan.replace(self.path)


def place_of(
    config: SpoolConfig,
    node: str,
    environ: Mapping[str, str],
    *,
    worker: str | None = None,
    workers: Callable[[], Collection[str]] = frozenset,
) -> SpoolPlace | None:
    """Where a process of this node has its spool; None where spooling is off.

    Args:
        config: the `mqtt.spool` section.
        node: this node's id.
        environ: the environment: systemd says in it where state belongs, and so may the user.
        worker: name of this worker process; None in a process alone and in the parent of several.
        workers: in the parent, asks for the names of the workers that have something to do.
    """
    if not config.enabled:
        return None
    folder = Path(config.folder) if config.folder is not None else _default_folder(environ)
    return SpoolPlace(folder / node, worker or MAIN, adopts=worker is None, others=workers)


def set_aside(path: Path) -> Path:
    """Rename a damaged spool and its log, for who wants to look at them; only the newest is kept.

    Raises:
        OSError: It can't be renamed.
    """
    aside = path.with_name(f"{path.name}.corrupt")
    wal_of(aside).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        wal_of(path).replace(wal_of(aside))
    path.replace(aside)
    return aside


def wal_of(path: Path) -> Path:
    """The write-ahead log of a spool."""
    return path.with_name(f"{path.name}{_WAL}")


def _default_folder(environ: Mapping[str, str]) -> Path:
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd.exec(5): several are joined by colons
    if state:
        return Path(state) / "spool"
    home = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - takes no home for an answer
    return Path(home) / "framelane" / "spool"
