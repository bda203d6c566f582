"""What parameter sets of real encoders say, and which are in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.neighbours.clips import ClipShape
from tests.sources.pictures import X264, X265, Encoding, encode, gradients

from framelane.demo.rtsp.packets import load_clip
from framelane.sources.codecs.nal_units import START_CODE
from framelane.sources.codecs.parameter_sets import SPS, NalCodec, ParameterSets, kind_of_nal, picture_size

if TYPE_CHECKING:
    from pathlib import Path

CODECS: tuple[NalCodec, ...] = ("h264", "hevc")
X265_LAYERS = {**X265, "x265-params": X265["x265-params"] + ":temporal-layers=3"}
ENCODINGS: list[tuple[NalCodec, Encoding]] = [
    ("h264", Encoding("libx264", options=X264)),
    ("h264", Encoding("libx264", options={**X264, "profile": "baseline"})),
    ("h264", Encoding("libx264", options={**X264, "x264-params": "interlaced=1"})),
    ("h264", Encoding("libx264", options={**X264, "x264-params": "cqm=jvt"})),
    ("h264", Encoding("libx264", "yuv422p", X264)),
    ("h264", Encoding("libx264", "yuv444p", X264)),
    ("h264", Encoding("libx264", "yuv420p10le", X264)),
    ("h264", Encoding("libx264", "gray", X264)),
    ("hevc", Encoding("libx265", options=X265)),
    ("hevc", Encoding("libx265", options=X265_LAYERS)),
    ("hevc", Encoding("libx265", "yuv422p", X265)),
    ("hevc", Encoding("libx265", "yuv444p", X265)),
    ("hevc", Encoding("libx265", "yuv420p10le", X265)),
]


@pytest.mark.parametrize(("codec", "encoding"), ENCODINGS)
@pytest.mark.parametrize("size_wh", [(320, 240), (338, 188)])
def test_size_is_the_pictures_own(
    tmp_path: Path, codec: NalCodec, encoding: Encoding, size_wh: tuple[int, int]
) -> None:
    clip = load_clip(encode(tmp_path / "clip.mp4", encoding, gradients(ClipShape(*size_wh, 2, 25))))
    sets = cast("Any", clip.nal_format).parameter_sets
    sizes = [picture_size(codec, nal) for nal in sets if kind_of_nal(codec, nal) == SPS[codec]]
    assert sizes == [size_wh]


@given(st.sampled_from(CODECS), st.binary(max_size=60))
def test_rubbish_has_no_size_or_a_possible_one(codec: NalCodec, rubbish: bytes) -> None:
    size_wh = picture_size(codec, rubbish)
    assert size_wh is None or all(0 < side < 1 << 15 for side in size_wh)


@given(st.sampled_from(CODECS), st.lists(st.binary(min_size=1, max_size=30), max_size=100))
def test_sets_take_rubbish_and_stay_bounded(codec: NalCodec, rubbish: list[bytes]) -> None:
    sets = ParameterSets(codec)
    for each in rubbish:
        sets.add(each)
    assert sets.current.count(START_CODE) <= 64 * 8


# An SPS with number 0, and PPSs with the numbers 0, 0 and 1 (H.264 7.3.2).
SPS0, PPS0, OTHER0, PPS1 = b"\x67\x42\xc0\x1e\xd9", b"\x68\xce\x3c\x80", b"\x68\xce\x38\x80", b"\x68\x4e\x3c"


def test_sets_are_one_object_until_one_changes() -> None:
    declared = START_CODE + SPS0 + START_CODE + PPS0
    sets = ParameterSets("h264", declared)
    sets.add(bytes(bytearray(SPS0)))
    sets.add(PPS0)
    assert sets.current is declared
    sets.add(OTHER0)
    assert sets.current == START_CODE + SPS0 + START_CODE + OTHER0
    sets.add(PPS1)
    before = sets.current
    assert before.count(START_CODE) == 3
    sets.add(PPS1)
    assert sets.current is before
    sets.add(b"\x67" * 5000)
    assert sets.current is before
