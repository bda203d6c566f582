"""Chooses where the driver caches compiled kernels, because a service may have no writable home."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


def choose_cache() -> None:
    """Set CUDA_CACHE_PATH if it is unset and the driver's default, ~/.nv/ComputeCache, can't be written.

    The new folder is `cuda` in systemd's CacheDirectory (CACHE_DIRECTORY), else a folder of this user under
    the temporary one. Without any, the driver compiles at each start, which takes seconds.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises for a user that no list knows
    if "CUDA_CACHE_PATH" in os.environ or (home.is_absolute() and _writable(home / ".nv" / "ComputeCache")):
        return
    given = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    folder = Path(given) / "cuda" if given else Path(tempfile.gettempdir()) / f"framelane-cuda-{os.getuid()}"
    if _own(folder):
        os.environ["CUDA_CACHE_PATH"] = str(folder)
        log.info("compute_cache", folder=str(folder), text="the home folder can't be written")
    else:
        log.warning("compute_cache", text="no folder for compiled kernels; set CUDA_CACHE_PATH to one")


def _writable(folder: Path) -> bool:
    """Return whether the folder, or its nearest existing parent, can be written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def _own(folder: Path) -> bool:
    """Create the folder for this user only.

    Return False if that fails or others own it: its content is executed.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
