"""Fragments as players read them: FFmpeg plays an initialization segment and the fragments after it."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any, get_args

import av
import pytest
from tests.live.coded import FPS, TICKS, Kind, number_of, recording

from framelane.live.mp4.codec_config import codec_config
from framelane.live.mp4.fragment import fragment
from framelane.live.mp4.init_segment import init_segment
from framelane.live.mp4.sample import sample

if TYPE_CHECKING:
    from framelane.sources.codecs.parameter_sets import NalCodec


def played(kind: Kind, start_ticks: int) -> list[tuple[int, float]]:
    """Number and time of each picture of a stream that began at this time."""
    made = recording(kind)
    codec: NalCodec = made.codec  # type: ignore[assignment] # H.264 or H.265
    config = codec_config(codec, made.extradata)
    assert config is not None
    data = init_segment(config)
    for index, coded in enumerate(made.units):
        show_ticks = start_ticks + coded.number * TICKS
        data += fragment(
            index,
            start_ticks + index * TICKS,
            show_ticks,
            TICKS,
            key=coded.key,
            sample=sample(codec, coded.data),
        )
    with av.open(io.BytesIO(data), "r") as container:
        stream: Any = container.streams.video[0]
        frames: list[Any] = list(container.decode(video=0))
        return [
            (number_of(frame.to_ndarray(format="gray")), float(frame.pts * stream.time_base))
            for frame in frames
        ]


@pytest.mark.parametrize("start_ticks", [0, 90_000 * 3600 * 24 * 7], ids=["from zero", "after a week"])
@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_picture_is_played_in_order_and_at_its_time(kind: Kind, start_ticks: int) -> None:
    found = played(kind, start_ticks)
    assert [number for number, _ in found] == list(range(40))
    # FFmpeg shifts a track in which pictures are decoded after they are shown.
    began_s = found[0][1]
    assert began_s == pytest.approx(start_ticks / 90_000, abs=2 / FPS)
    assert [at_s - began_s for _, at_s in found] == pytest.approx([number / FPS for number in range(40)])


def sizes(data: bytes) -> list[tuple[bytes, int]]:
    """Kind and size of each box at the top."""
    found = []
    while data:
        size, kind = struct.unpack_from(">I4s", data)
        found.append((kind, size))
        data = data[size:]
    return found


def test_fragment_is_a_movie_fragment_and_its_data() -> None:
    made = fragment(1, 0, 0, 3600, key=True, sample=b"x" * 100)
    assert sizes(made) == [(b"moof", len(made) - 108), (b"mdat", 108)]
    # The data offset counts from the start of the fragment (ISO/IEC 14496-12 section 8.8.8).
    at = made.index(b"trun") + 12
    assert made[struct.unpack_from(">i", made, at)[0] :] == b"x" * 100


@pytest.mark.parametrize("apart", [1 << 40, -(1 << 40)])
def test_times_that_no_fragment_can_hold_are_limited(apart: int) -> None:
    """Of a camera whose time stamps jump, a picture is shown at the wrong time, and the stream goes on."""
    made = fragment(1 << 40, 1 << 41, (1 << 41) + apart, 3600, key=False, sample=b"x")
    assert sizes(made)[1] == (b"mdat", 9)
