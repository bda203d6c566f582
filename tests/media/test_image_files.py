"""Image files in a folder: which of them count, and what is read of one."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from framelane.media.image_files import SUFFIXES, picture_files, read_picture

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.zeros((24, 32, 3), np.uint8)
PIXELS[:, :16] = 255


def exif(orientation: int) -> bytes:
    """A JPEG segment that says how the picture is turned."""
    body = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0) + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def jpeg(orientation: int | None = None) -> bytes:
    data = cv2.imencode(".jpg", PIXELS)[1].tobytes()
    return data if orientation is None else data[:2] + exif(orientation) + data[2:]


def test_images_are_sorted_by_name_whatever_the_case_of_their_suffix(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.tiff", "d.txt", "e", ".png"):
        (tmp_path / name).touch()
    assert [each.name for each in picture_files(tmp_path)] == ["a.png", "b.JPG", "c.tiff"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_can_be_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), PIXELS)
    picture = read_picture(path)
    assert picture is not None
    assert (picture.width, picture.height) == (32, 24)


@pytest.mark.parametrize(
    ("orientation", "size_wh"), [(None, (32, 24)), (1, (32, 24)), (6, (24, 32)), (3, (32, 24))]
)
def test_image_is_turned_as_its_exif_data_says(
    tmp_path: Path, orientation: int | None, size_wh: tuple[int, int]
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(orientation))
    picture = read_picture(path)
    assert picture is not None
    assert (picture.width, picture.height) == size_wh
    if orientation == 3:
        gray = picture.to_ndarray(format="gray")
        assert gray[:, :16].mean() < 20
        assert gray[:, 16:].mean() > 200


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jpg", jpeg()[:-200]),
        ("a.jpg", b""),
        ("a.png", b"no image"),
        ("a.png", None),
    ],
    ids=["cut off", "empty", "nonsense", "no file"],
)
def test_what_is_no_image_is_none(tmp_path: Path, name: str, content: bytes | None) -> None:
    """FFmpeg would fill the missing part of a JPEG with gray."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert read_picture(path) is None
