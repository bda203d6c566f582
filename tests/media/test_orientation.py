"""Images that are stored turned: the eight EXIF orientations, and display matrices, compared with OpenCV."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from framelane.media.exif import exif_orientation
from framelane.media.image_files import read_picture
from framelane.media.orientation import Turner, display_orientation

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# A corner and two edges in different colors, so that all orientations differ.
PIXELS = np.full((48, 80, 3), 60, np.uint8)
PIXELS[:16, :24] = (255, 40, 40)
PIXELS[:16, 56:] = (40, 255, 40)
PIXELS[32:, :24] = (40, 40, 255)


def tiff(orientation: int, order: str = ">", kind: int = 3) -> bytes:
    """A directory of two tags; the second is the orientation."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    make = struct.pack(f"{order}HHII", 0x010F, 2, 4, 0)
    entry = struct.pack(f"{order}HHIHH", 0x0112, kind, 1, orientation, 0)
    return head + struct.pack(f"{order}H", 2) + make + entry + struct.pack(f"{order}I", 0)


def jpeg(exif: bytes) -> bytes:
    data = cv2.imencode(".jpg", PIXELS, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif + data[2:]


def png(exif: bytes) -> bytes:
    data = cv2.imencode(".png", PIXELS)[1].tobytes()
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    return data[:33] + chunk + data[33:]


def webp(exif: bytes) -> bytes:
    """The extended format, the only one with EXIF."""
    inner = cv2.imencode(".webp", PIXELS, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()[12:]
    size = struct.pack("<I", PIXELS.shape[1] - 1)[:3] + struct.pack("<I", PIXELS.shape[0] - 1)[:3]
    extended = b"VP8X" + struct.pack("<IBBBB", 10, 0x08, 0, 0, 0) + size
    body = b"WEBP" + extended + inner + b"EXIF" + struct.pack("<I", len(exif)) + exif
    return b"RIFF" + struct.pack("<I", len(body)) + body


def shown(picture: av.VideoFrame) -> NDArray[np.int16]:
    return picture.to_ndarray(format="bgr24").astype(np.int16)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("make", [jpeg, png, webp])
def test_picture_file_is_read_the_way_it_is_shown(
    tmp_path: Path, make: object, orientation: int, order: str
) -> None:
    data = make(tiff(orientation, order))  # type: ignore[operator] # one of three functions
    path = tmp_path / f"picture.{make.__name__}"  # type: ignore[attr-defined]
    path.write_bytes(data)
    picture = read_picture(path)
    assert picture is not None
    # Every OpenCV release turns JPEG itself, but not other formats.
    truth = np.asarray(cv2.imdecode(np.frombuffer(jpeg(tiff(orientation)), np.uint8), cv2.IMREAD_COLOR))
    assert (picture.width, picture.height) == truth.shape[1::-1]
    assert np.abs(shown(picture) - truth.astype(np.int16)).mean() < 6


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"MM",
        b"XX" + tiff(6)[2:],
        tiff(0),
        tiff(9),
        tiff(6, kind=4),
        tiff(6)[:20],
        tiff(6)[:8] + b"\xff\xff" + tiff(6)[10:14],
    ],
    ids=["none", "short", "no order", "zero", "nine", "no short", "cut", "many entries"],
)
@pytest.mark.parametrize("make", [jpeg, png, webp])
def test_orientation_that_makes_no_sense_is_none(make: object, exif: bytes) -> None:
    assert exif_orientation(make(exif)) == 1  # type: ignore[operator]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\x00\x00" * 40, b"RIFF", b"\x89PNG\r\n\x1a\n"]
)
def test_file_that_is_cut_short_has_no_orientation(data: bytes) -> None:
    assert exif_orientation(data) == 1


def turned_clip(path: Path, degrees: int) -> Path:
    """A film whose display matrix turns it counterclockwise by this many degrees."""
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=25, options={"qp": "4", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = PIXELS.shape[1], PIXELS.shape[0], "yuv420p"
        stream.set_display_rotation(degrees)
        for _ in range(3):
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(PIXELS, format="bgr24")))
        sink.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_film_is_turned_as_its_display_matrix_says(tmp_path: Path, degrees: int) -> None:
    turner = Turner()
    with av.open(str(turned_clip(tmp_path / "clip.mp4", degrees))) as container:
        for frame in container.decode(video=0):
            picture = turner.turn(frame, display_orientation(frame))
            truth = np.rot90(PIXELS, degrees // 90).astype(np.int16)
            assert (picture.width, picture.height) == truth.shape[1::-1]
            assert np.abs(shown(picture) - truth).mean() < 6
            assert (picture.pts, picture.time_base) == (frame.pts, frame.time_base)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv422p", "yuv420p10le", "gray", "rgb24"])
def test_every_kind_of_image_is_turned(pixel_format: str) -> None:
    frame = av.VideoFrame.from_ndarray(PIXELS, format="bgr24").reformat(format=pixel_format)
    frame.colorspace, frame.color_range = 1, 2
    turned = Turner().turn(frame, 6)
    assert (turned.width, turned.height, turned.colorspace, turned.color_range) == (48, 80, 1, 2)
    truth = np.rot90(shown(frame), -1)
    assert np.abs(shown(turned) - truth).mean() < 6


def test_turner_follows_pictures_that_change_their_size() -> None:
    turner = Turner()
    sizes = [(64, 48), (64, 48), (32, 16), (64, 48)]
    turned = [turner.turn(av.VideoFrame(*size, "yuv420p"), 8) for size in sizes]
    assert [(each.height, each.width) for each in turned] == sizes
