from __future__ import annotations

import resource
import struct
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tests.media import test_orientation as turned

from framelane.web.image import DECODERS, decode_picture
from framelane.web.problem import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

RNG = np.random.default_rng(7)
PIXELS = cv2.resize(RNG.integers(0, 255, (6, 8, 3), np.uint8), (64, 48))
ALPHA = np.dstack([PIXELS, PIXELS[..., :1]])
MEDIA = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
MOST = 10_000
TOO_LARGE = "no pixels, or more than 0.01 megapixels: send it smaller, or raise http.detect.max_megapixels"


def encoded(suffix: str, pixels: np.ndarray = PIXELS, *options: int) -> bytes:
    return cv2.imencode(suffix, pixels, list(options))[1].tobytes()


SAMPLES = {
    "jpeg": (".jpg", encoded(".jpg", PIXELS, cv2.IMWRITE_JPEG_QUALITY, 98)),
    "progressive jpeg": (".jpg", encoded(".jpg", PIXELS, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    "gray jpeg": (".jpg", encoded(".jpg", PIXELS[..., 0])),
    "png": (".png", encoded(".png")),
    "png with alpha": (".png", encoded(".png", ALPHA)),
    "gray png": (".png", encoded(".png", PIXELS[..., 0])),
    "png of 16 bits": (".png", encoded(".png", PIXELS.astype(np.uint16) * 257)),
    "webp": (".webp", encoded(".webp", PIXELS, cv2.IMWRITE_WEBP_QUALITY, 90)),
    "lossless webp": (".webp", encoded(".webp", PIXELS, cv2.IMWRITE_WEBP_QUALITY, 101)),
    "webp with alpha": (".webp", encoded(".webp", ALPHA, cv2.IMWRITE_WEBP_QUALITY, 90)),
}


def refusal(data: bytes, media_type: str, most: int = MOST) -> tuple[int, str]:
    with pytest.raises(ProblemError) as caught:
        decode_picture(data, media_type, most)
    return caught.value.status, caught.value.detail


@pytest.mark.parametrize("name", SAMPLES)
def test_picture_is_decoded(name: str) -> None:
    suffix, data = SAMPLES[name]
    picture = decode_picture(data, MEDIA[suffix], MOST)
    assert (picture.width, picture.height) == (64, 48)
    shown = picture.to_ndarray(format="bgr24").astype(int)
    wanted = (np.dstack([PIXELS[..., 0]] * 3) if "gray" in name else PIXELS).astype(int)
    assert np.abs(shown - wanted).mean() < 12, "these are other pixels"


@pytest.mark.parametrize("name", SAMPLES)
def test_picture_is_refused_when_it_has_too_many_pixels(name: str) -> None:
    suffix, data = SAMPLES[name]
    assert refusal(data, MEDIA[suffix], 64 * 48 - 1) == (413, TOO_LARGE.replace("0.01", "0.003071"))


@pytest.mark.parametrize("name", SAMPLES)
def test_picture_is_refused_when_half_of_it_is_missing(name: str) -> None:
    suffix, data = SAMPLES[name]
    assert refusal(data[: len(data) // 2], MEDIA[suffix])[0] == 422


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("media_type", MEDIA.values())
def test_picture_is_refused_when_it_is_another_format_than_said(name: str, media_type: str) -> None:
    suffix, data = SAMPLES[name]
    if media_type != MEDIA[suffix]:
        expected = 422, "the image can't be decoded: it is damaged, far too large, or of another type"
        assert refusal(data, media_type) == expected


@pytest.mark.parametrize("media_type", ["", "image/gif", "text/plain", "multipart/form-data"])
def test_media_type_is_refused_when_it_is_no_picture_s(media_type: str) -> None:
    status, detail = refusal(SAMPLES["png"][1], media_type)
    assert (status, detail) == (415, "send one of image/jpeg, image/png, image/webp as the body")


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG of one bit per pixel, from its parts."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def jpeg_of(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    data = bytearray(SAMPLES["jpeg"][1])
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "media_type", "status"),
    [
        (png(12_000, 12_000, bytes(1501 * 12_000)), "image/png", 413),  # 18 MB of zeros, in 20 kB
        (png(30_000, 30_000, bytes(3751 * 30_000)), "image/png", 422),  # FFmpeg takes it for damaged
        (png(2**31 - 1, 1, b""), "image/png", 422),
        (png(0, 0, b""), "image/png", 422),
        (jpeg_of(65_500, 65_500), "image/jpeg", 422),
        (jpeg_of(101, 100), "image/jpeg", 413),
    ],
    ids=["bomb", "larger bomb", "wide", "nothing", "claims much", "claims a little too much"],
)
def test_bomb_is_refused_by_its_header(data: bytes, media_type: str, status: int) -> None:
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(data, media_type)[0] == status
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 1000
    assert grown_mb < 10, "it was decoded first"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    ("kind", "head"), [(b"zTXt", b"k\0\0"), (b"iCCP", b"p\0\0"), (b"iTXt", b"k\0\1\0\0\0")]
)
def test_what_is_compressed_beside_the_pixels_is_not_inflated(kind: bytes, head: bytes) -> None:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    whole = SAMPLES["png"][1]
    after_header = 8 + 12 + 13
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bomb = whole[:after_header] + chunk(kind, head + packed) + whole[after_header:]
    assert (decode_picture(bomb, "image/png", MOST).width, len(bomb) < 150_000) == (64, True)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 1000 < 50


def test_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = SAMPLES["progressive jpeg"][1]
    at = data.index(b"\xff\xda")
    again = data[at : data.index(b"\xff", at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0])]
    status, detail = refusal(data[:at] + again * 1000 + data[at:], "image/jpeg")
    assert (status, detail) == (422, "the image can't be decoded: it has more than 100 scans")


@pytest.mark.parametrize("media_type", DECODERS)
def test_garbage_is_refused(media_type: str) -> None:
    suffix = next(suffix for suffix, each in MEDIA.items() if each == media_type)
    whole = next(data for ending, data in SAMPLES.values() if ending == suffix)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        spoilt = bytearray(whole)
        for at in rng.integers(0, len(whole), 1 + seed % 20):
            spoilt[at] = rng.integers(0, 256)
        for data in (bytes(spoilt), rng.bytes(seed), whole[: seed % len(whole)] + rng.bytes(50)):
            assert outcome(data, media_type) in ("decoded", 413, 422)


def outcome(data: bytes, media_type: str) -> str | int:
    try:
        picture = decode_picture(data, media_type, MOST)
    except ProblemError as problem:
        return problem.status
    return "decoded" if picture.width * picture.height <= MOST else "too large"


@pytest.mark.parametrize(("orientation", "size_wh"), [(1, (80, 48)), (3, (80, 48)), (6, (48, 80))])
@pytest.mark.parametrize("make", [turned.jpeg, turned.png, turned.webp])
def test_picture_is_turned_the_way_its_exif_says(
    make: Callable[[bytes], bytes], orientation: int, size_wh: tuple[int, int]
) -> None:
    media_type = MEDIA[f".{make.__name__}".replace("jpeg", "jpg")]
    picture = decode_picture(make(turned.tiff(orientation)), media_type, MOST)
    assert (picture.width, picture.height) == size_wh
