"""Pictures that lie in a folder as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from av import error as av_error

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SUFFIXES_TEXT = ", ".join(SUFFIXES)


def picture_files(folder: Path) -> list[Path]:
    """Those directly in a folder, in the order of their names; whether they can be read is not looked at."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def read_picture(path: Path) -> av.VideoFrame | None:
    """A picture as the decoder gives it; None for a file that is none."""
    try:
        with av.open(str(path)) as container:
            return next(container.decode(container.streams.video[0]), None)
    except (av_error.FFmpegError, OSError, IndexError):
        return None
