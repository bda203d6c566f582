"""A folder of images as a source, in the order of their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.media.image_files import SUFFIXES_TEXT, picture_files, read_picture
from framelane.sources.interfaces.source import Decoded, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.telemetry.meters import StreamMeter

IMAGES_PER_S = 25.0


class FolderSource:
    """The image files directly in a folder, at `IMAGES_PER_S` images per second of its time line.

    Raises:
        SourceError: the folder holds no images.
    """

    def __init__(self, url: str, meter: StreamMeter) -> None:
        self._meter = meter
        self._paths = picture_files(Path(url))
        if not self._paths:
            raise SourceError("missing", f"no images in {url}; supported are {SUFFIXES_TEXT}")

    def __enter__(self) -> FolderSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def info(self) -> SourceInfo:
        """What is known before the first image is read."""
        return SourceInfo("images", 0, 0, IMAGES_PER_S, "cpu")

    def pictures(self) -> Iterator[Decoded]:
        """Decode the images one by one. An unreadable image is counted and skipped."""
        for index, path in enumerate(self._paths):
            self._meter.frame_received()
            picture = read_picture(path)
            if picture is None:
                self._meter.frame_dropped("decode")
            else:
                yield Decoded(picture, index / IMAGES_PER_S, None)

    def rewind(self) -> None:
        """Do nothing: the next `pictures` starts at the first image."""

    def close(self) -> None:
        """Do nothing: no file is open between two images."""
