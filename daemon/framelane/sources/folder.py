"""A folder of images as a source, in the order of their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.core.picture_files import SUFFIXES_TEXT, picture_files, read_picture
from framelane.sources.source import Decoded, SourceInfo, SourceMeter

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES_PER_S = 25.0


class FolderSource:
    """Every image file directly in a folder, `IMAGES_PER_S` of them a second of its time line.

    Raises:
        SourceError: there are no images in it.
    """

    def __init__(self, url: str, meter: SourceMeter) -> None:
        self._meter = meter
        self._paths = picture_files(Path(url))
        if not self._paths:
            raise SourceError("missing", f"no images in {url}; it takes {SUFFIXES_TEXT}")

    def __enter__(self) -> FolderSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def info(self) -> SourceInfo:
        """What is known before the first image is read."""
        return SourceInfo("images", 0, 0, IMAGES_PER_S, "cpu")

    def pictures(self) -> Iterator[Decoded]:
        """Decode the images one by one; one that can't be read is counted and passed over."""
        for index, path in enumerate(self._paths):
            self._meter.frame_received()
            picture = read_picture(path)
            if picture is None:
                self._meter.frame_dropped("decode")
            else:
                yield Decoded(picture, index / IMAGES_PER_S, None)

    def rewind(self) -> None:
        """Nothing to do: the next `pictures` starts at the first image."""

    def close(self) -> None:
        """Nothing is held open between two images."""
