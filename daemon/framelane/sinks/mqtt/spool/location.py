"""Locations of spools: one folder per node, with one file per process that has a session with the broker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.storage.paths import make_folder, state_folder, wal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from framelane.config.sections.spool import SpoolConfig

MAIN = "main"
"""Name of the spool of a daemon's only process, or of the parent of several."""
_SUFFIX = ".spool"


@dataclass(frozen=True, slots=True)
class SpoolLocation:
    """Where one process has its spool, and which other spools it may take over.

    Attributes:
        folder: the node's folder.
        name: of the process among those of the node.
        adopts: whether it delivers spools that belong to no process any more.
        others: returns the names of the processes that have, or will have, the other spools.
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
        """Create the folder, for this user only.

        Raises:
            OSError: It can't be created.
        """
        make_folder(self.folder)

    def orphans(self) -> list[Path]:
        """Return spools without a process, such as those of workers after `workers` was reduced."""
        if not self.adopts:
            return []
        taken = {self.name, *self.others()}
        return [path for path in sorted(self.folder.glob(f"*{_SUFFIX}")) if path.stem not in taken]

    def inherit(self, orphan: Path) -> None:
        """Replace our own closed and empty spool with a closed orphan.

        Raises:
            OSError: It can't be done; nothing is lost.
        """
        # Otherwise SQLite would use it for the other file.
        wal_of(self.path).unlink(missing_ok=True)
        orphan.replace(self.path)


def place_of(
    config: SpoolConfig,
    node: str,
    environ: Mapping[str, str],
    *,
    worker: str | None = None,
    workers: Callable[[], Collection[str]] = frozenset,
) -> SpoolLocation | None:
    """Return where a process of this node has its spool; None if spooling is off.

    Args:
        config: the `mqtt.spool` section.
        node: this node's id.
        environ: the environment, in which systemd and the user may set where state belongs.
        worker: name of this worker process; None in a single process and in the parent of several.
        workers: in the parent, returns the names of the workers that have work.
    """
    if not config.enabled:
        return None
    folder = Path(config.folder) if config.folder is not None else state_folder(environ, "spool")
    return SpoolLocation(folder / node, worker or MAIN, adopts=worker is None, others=workers)
