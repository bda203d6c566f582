"""Whole pictures that are missing from H.264 show in the numbers of the others, if another picture needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape
from tests.sources.pictures import Encoding, encode, gradients

from framelane.demo.rtsp.packets import load_clip
from framelane.sources.codecs.frame_numbers import FrameNumbers
from framelane.sources.codecs.nal_units import NAL_SYNTAXES, START_CODE
from framelane.sources.ffmpeg.access_units import AccessUnit, AccessUnits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OPTIONS: dict[str, Mapping[str, str]] = {
    "high": {"bf": "2"},
    "baseline": {"profile": "baseline"},
    "scaling lists": {"x264-params": "cqm=jvt"},
    "4:4:4": {"x264-params": "bframes=3:b-pyramid=normal"},
}

IDR = b"\x00\x00\x01\x65"


def pictures(path: Path) -> list[tuple[bytes, bool]]:
    """Access units behind start codes, and whether another picture needs each."""
    units, found = AccessUnits(NAL_SYNTAXES["h264"]), list[AccessUnit]()
    for number, unit in enumerate(load_clip(path).units):
        for packet in unit.stamped(0, 0, 0).packets():
            for payload in unpacked(bytes(packet)[12:]):
                found += units.feed(payload, number)
    return [(unit.data, not unit.disposable) for unit in [*found, *units.flush()]]


def unpacked(payload: bytes) -> Iterator[bytes]:
    """What FFmpeg makes of an RTP payload."""
    kind, at = payload[0] & 0x1F, 1
    if kind == 28:  # a fragment
        header = bytes([payload[0] & 0xE0 | payload[1] & 0x1F])
        yield START_CODE + header + payload[2:] if payload[1] & 0x80 else payload[2:]
    elif kind == 24:  # several
        while at < len(payload):
            end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
            yield START_CODE + payload[at + 2 : end]
            at = end
    else:
        yield START_CODE + payload


@pytest.fixture(params=OPTIONS)
def coded(request: pytest.FixtureRequest, tmp_path: Path) -> list[tuple[bytes, bool]]:
    options = {"preset": "veryfast", "g": "25", **OPTIONS[request.param]}
    pixel_format = "yuv444p" if request.param == "4:4:4" else "yuv420p"
    encoding = Encoding("libx264", pixel_format, options)
    return pictures(encode(tmp_path / "clip.mp4", encoding, gradients(ClipShape(160, 96, frames=60))))


def test_pictures_follow_when_none_is_missing(coded: list[tuple[bytes, bool]]) -> None:
    numbers = FrameNumbers()
    assert all(numbers.follows(data) for data, _ in coded + coded)


def test_a_missing_picture_shows_when_another_needs_it(coded: list[tuple[bytes, bool]]) -> None:
    noticed = 0
    for lost in range(1, len(coded) - 1):
        if IDR in coded[lost][0]:
            continue  # after it numbers begin at 0, and may happen to go on from those before it
        numbers = FrameNumbers()
        follows = [numbers.follows(data) for number, (data, _) in enumerate(coded) if number != lost]
        begins_anew = IDR in coded[lost + 1][0]
        shows = coded[lost][1] and not begins_anew
        assert follows[lost] is not shows
        assert all(follows[:lost])
        assert shows or all(follows)
        noticed += not all(follows)
    assert noticed > len(coded) / 4


def test_numbers_that_follow_nothing_are_not_believed(coded: list[tuple[bytes, bool]]) -> None:
    numbers = FrameNumbers()
    some = [data for data, needed in coded if needed][::3]
    follows = [numbers.follows(data) for _ in range(10) for data in some]
    assert all(follows[len(follows) // 2 :])


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x01", b"\x00\x00\x01\x67", b"\x00\x00\x01\x41\x80"])
def test_what_is_no_picture_follows(data: bytes) -> None:
    assert FrameNumbers().follows(data)


def ue(number: int) -> str:
    """An unsigned Exp-Golomb code."""
    bits = f"{number + 1:b}"
    return "0" * (len(bits) - 1) + bits


def nal(header: int, bits: str) -> bytes:
    padded = bits + "1" + "0" * (-len(bits) - 1 & 7)
    return START_CODE + bytes([header]) + int(padded, 2).to_bytes(len(padded) // 8, "big")


def test_a_slice_is_read_by_the_sequence_that_its_picture_parameter_set_names() -> None:
    """Though the two have other numbers."""
    # Baseline, frame numbers of 4 bits, pictures in the order of decoding, one reference, 64x48, no cropping.
    size = ue(3) + ue(2)
    sequence = f"{66:08b}{0:08b}{30:08b}" + ue(2) + ue(0) + ue(2) + ue(1) + "0" + size + "1" + "0" + "0" + "0"
    numbers = FrameNumbers()
    assert numbers.follows(nal(0x67, sequence) + nal(0x68, ue(1) + ue(2)))

    def picture(header: int, number: int) -> bytes:
        return nal(header, ue(0) + ue(7) + ue(1) + f"{number:04b}" + "0" * 64)

    follows = [
        numbers.follows(picture(0x65, 0)),
        *(numbers.follows(picture(0x61, each)) for each in (1, 2, 4)),
    ]
    assert follows == [True, True, True, False]
