"""Where the driver keeps kernels it has compiled: a service may have no home to write to."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


def choose_cache() -> None:
    """Set CUDA_CACHE_PATH where nobody did and the driver's own choice, ~/.nv/ComputeCache, can't be written.

    Then it is `cuda` in systemd's CacheDirectory (CACHE_DIRECTORY), else a folder of this user under the temporary
    one. Without any the driver compiles at each start, which takes seconds.
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
    """Whether the folder, or the nearest above it that exists, can be written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def _own(folder: Path) -> bool:
    """Make the folder for this user alone; False if it can't be, or is another's: what lies in it is run."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
