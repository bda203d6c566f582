"""JPEG pictures without their end are recognized, and no others."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from framelane.media.image_files import read_picture
from framelane.media.jpeg import has_end

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def picture() -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    with av.open(buffer, "w", format="image2pipe") as sink:
        stream = sink.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p"
        sink.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        sink.mux(stream.encode(None))
    return buffer.getvalue()


def test_a_whole_picture_has_an_end(picture: bytes) -> None:
    assert has_end(picture)
    assert has_end(picture + bytes(100))
    assert has_end(picture + b"\x00camera data\x00" * 50)


@pytest.mark.parametrize("share", [0.2, 1 / 3, 0.9, 0.999])
def test_a_cut_picture_has_none(picture: bytes, share: float) -> None:
    assert not has_end(picture[: int(len(picture) * share)])


def test_the_end_of_a_preview_is_not_the_pictures(picture: bytes) -> None:
    preview = b"\xff\xe1" + (len(picture) + 2).to_bytes(2, "big") + picture
    whole = picture[:2] + preview + picture[2:]
    assert has_end(whole)
    assert not has_end(whole[:-500])


def test_a_cut_file_is_no_picture(picture: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(picture)
    assert read_picture(path) is not None
    path.write_bytes(picture[: len(picture) // 3])
    assert read_picture(path) is None
