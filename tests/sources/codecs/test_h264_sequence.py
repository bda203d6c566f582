"""Sequence parameter sets, field by field (H.264 7.3.2.1.1)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sources.codecs.bit_strings import escaped, packed, se, u, ue

from framelane.sources.codecs.h264_sequence import MOST_BYTES, Sequence, read_sequence

BASELINE, HIGH, HIGH_444 = 66, 100, 244
VGA = Sequence(number=0, frame_bits=4, separate_planes=False, may_skip=False, size_wh=(640, 480))


def sps(
    profile: int = BASELINE,
    *,
    number: int = 0,
    chroma: int | None = None,
    planes: str = "",
    scaling: str = "0",
    frame_bits: int = 4,
    order: str = "1" + "1",
    may_skip: int = 0,
    blocks_wh: tuple[int, int] = (40, 30),
    fields: bool = False,
    crop: tuple[int, int, int, int] | None = None,
) -> bytes:
    """A set; `order` is the picture order count's type and fields, `crop` left, right, top and bottom."""
    chroma_fields = (
        ()
        if chroma is None
        else (ue(chroma), planes, ue(0), ue(0), "0", "1" + scaling if scaling != "0" else "0")
    )
    data = packed(
        *(
            u(profile, 8),
            u(30, 16),
            ue(number),
            *chroma_fields,
            ue(frame_bits - 4),
            order,
            ue(4),
            u(may_skip, 1),
        ),
        *(ue(blocks_wh[0] - 1), ue(blocks_wh[1] - 1), "00" if fields else "1", "1"),
        *("0" if crop is None else "1" + "".join(map(ue, crop)), "0", "1"),
    )
    return b"\x67" + escaped(data)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, {}, id="baseline"),
        pytest.param({"number": 31}, {"number": 31}, id="last number"),
        pytest.param({"frame_bits": 16}, {"frame_bits": 16}, id="most bits"),
        pytest.param({"may_skip": 1}, {"may_skip": True}, id="gaps allowed"),
        pytest.param(
            {"blocks_wh": (120, 68), "crop": (0, 0, 0, 4)},
            {"size_wh": (1920, 1080)},
            id="1080p",
        ),
        pytest.param(
            {"blocks_wh": (120, 34), "fields": True, "crop": (0, 0, 0, 2)},
            {"size_wh": (1920, 1080)},
            id="1080i",
        ),
        pytest.param({"crop": (1, 2, 3, 4)}, {"size_wh": (634, 466)}, id="cropped on all sides"),
        pytest.param(
            {"profile": HIGH, "chroma": 0, "crop": (1, 2, 3, 4)},
            {"size_wh": (637, 473)},
            id="gray",
        ),
        pytest.param(
            {"profile": 122, "chroma": 2, "crop": (1, 2, 3, 4)},
            {"size_wh": (634, 473)},
            id="4:2:2",
        ),
        pytest.param(
            {"profile": HIGH_444, "chroma": 3, "planes": "0", "crop": (1, 2, 3, 4)},
            {"size_wh": (637, 473)},
            id="4:4:4",
        ),
        pytest.param(
            {"profile": HIGH_444, "chroma": 3, "planes": "1"},
            {"separate_planes": True},
            id="separate planes",
        ),
        pytest.param({"order": "1" + ue(12)}, {}, id="order count 0"),
        pytest.param(
            {"order": ue(1) + "0" + se(-3) + se(2) + ue(2) + se(5) + se(-5)},
            {},
            id="order count 1",
        ),
        pytest.param({"order": ue(2)}, {}, id="order count 2"),
    ],
)
def test_read_sequence_returns_what_the_set_says(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert VGA._replace(**expected) == read_sequence(sps(**fields))


@pytest.mark.parametrize(
    ("chroma", "lists"),
    [
        pytest.param(1, "0" * 8, id="none of eight"),
        pytest.param(1, "1" + se(0) * 16 + "0" * 7, id="a whole one of 16"),
        pytest.param(1, "1" + se(-8) + "0" * 7, id="one that ends at once"),
        pytest.param(1, "0" * 6 + "1" + se(1) * 64 + "0", id="a whole one of 64"),
        pytest.param(1, "1" + se(0) + se(-8) + "1" + se(127) + se(121) + "0" * 6, id="one that wraps to 0"),
        pytest.param(3, "0" * 12, id="none of twelve"),
        pytest.param(3, "0" * 11 + "1" + se(2) + se(-10), id="the last of twelve"),
    ],
)
def test_read_sequence_passes_scaling_lists(chroma: int, lists: str) -> None:
    planes = "0" if chroma == 3 else ""
    found = read_sequence(sps(HIGH_444, chroma=chroma, planes=planes, scaling=lists, frame_bits=9))
    assert VGA._replace(frame_bits=9) == found


def test_read_sequence_ignores_what_follows_the_set() -> None:
    assert read_sequence(sps()) == read_sequence(sps() + b"\0\0\1\x68" + b"\xff" * MOST_BYTES)


def test_read_sequence_raises_when_the_set_is_cut_short_anywhere() -> None:
    whole = sps(HIGH, chroma=1, crop=(0, 0, 0, 4))
    # The last byte holds only bits after the crop.
    for length in range(len(whole) - 1):
        with pytest.raises(ValueError, match="the NAL unit ends here"):
            read_sequence(whole[:length])
