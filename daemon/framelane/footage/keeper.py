"""Keeps the folder of snapshots and clips within its limits, and finds files in it; once per node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from framelane.core.worker import Worker
from framelane.footage.index import MediaIndex
from framelane.footage.store import Limits, MediaStore

if TYPE_CHECKING:
    from framelane.config.sections.media import MediaConfig

log = structlog.get_logger(__name__)

_EVERY_S = 60.0


class MediaKeeper(Worker):
    """Sweeps the folder at the start and every minute. Processes that write keep the limits between that.

    Args:
        config: the `media` section; its folder is set.
    """

    def __init__(self, config: MediaConfig) -> None:
        super().__init__("media")
        folder = Path(config.folder or "")
        self.store = MediaStore(folder, Limits.of(config))
        self.index = MediaIndex(folder)

    def run_once(self) -> None:
        """Delete what is too old or too much, count the rest, and wait for the next time."""
        self.store.sweep()
        self.index.refresh()
        self.stopping.wait(_EVERY_S)

    def failed(self, error: Exception) -> float:
        """Try again a minute later if the disk is at fault."""
        if not isinstance(error, OSError):
            return super().failed(error)
        log.warning("media_not_swept", error=str(error))
        return _EVERY_S
