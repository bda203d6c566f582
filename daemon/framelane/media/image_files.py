"""Reads image files from a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from av import error as av_error

from framelane.media.exif import UPRIGHT, exif_orientation
from framelane.media.jpeg import has_end
from framelane.media.orientation import Turner

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_JPEG = (".jpeg", ".jpg")
SUFFIXES_TEXT = ", ".join(SUFFIXES)


def picture_files(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, sorted by name, without opening them."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def read_picture(path: Path) -> av.VideoFrame | None:
    """Return an image as it is to be shown; None if the file is not an image."""
    try:
        if path.suffix.lower() in _JPEG and not has_end(path.read_bytes()):
            return None
        with av.open(str(path)) as container:
            picture = next(container.decode(container.streams.video[0]), None)
        if picture is None:
            return None
        return upright(picture, path.read_bytes())
    except (av_error.FFmpegError, OSError, IndexError):
        return None


def upright(picture: av.VideoFrame, file: bytes) -> av.VideoFrame:
    """Return a decoded image, turned as the EXIF data of its file says."""
    orientation = exif_orientation(file)
    return picture if orientation == UPRIGHT else Turner().turn(picture, orientation)
