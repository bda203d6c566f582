"""A folder of images: their order, their pace, and files that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from framelane.core.errors import SourceError
from framelane.sources.image_folder import IMAGES_PER_S, FolderSource
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, width: int) -> None:
    assert cv2.imwrite(str(path), np.full((24, width, 3), 90, np.uint8))


def test_images_come_by_name_and_evenly_spaced(tmp_path: Path) -> None:
    for name, width in (("b.png", 40), ("a.jpg", 32), ("c.JPG", 48)):
        write(tmp_path / name, width)
    (tmp_path / "notes.txt").write_text("no image")
    meter = StreamMeter("cam")
    with FolderSource(str(tmp_path), meter) as source:
        seen = [(each.picture.width, each.pts_s, each.arrival) for each in source.pictures()]
        assert source.info.fps == IMAGES_PER_S
        source.rewind()
        assert [each.picture.width for each in source.pictures()] == [32, 40, 48]
    assert seen == [(32, 0.0, None), (40, 1 / IMAGES_PER_S, None), (48, 2 / IMAGES_PER_S, None)]
    assert (meter.snapshot().received, meter.snapshot().dropped.get("decode", 0)) == (6, 0)


def test_image_that_is_none_is_counted_and_keeps_its_place_in_time(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 32)
    (tmp_path / "b.png").write_bytes(b"no image")
    write(tmp_path / "c.png", 48)
    meter = StreamMeter("cam")
    times = [each.pts_s for each in FolderSource(str(tmp_path), meter).pictures()]
    assert times == [0.0, 2 / IMAGES_PER_S]
    assert meter.snapshot().dropped["decode"] == 1


def test_folder_without_images_says_what_it_should_hold(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SourceError) as found:
        FolderSource(str(tmp_path), StreamMeter("cam"))
    assert found.value.reason == "missing"
    assert str(found.value).startswith(f"no images in {tmp_path}; supported are ")
    assert ".jpg" in str(found.value)
