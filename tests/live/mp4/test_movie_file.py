from __future__ import annotations

import io
import shutil
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING, Any, get_args

import av
import pytest
from tests.live.coded import FPS, TICKS, Kind, number_of, recording

from framelane.live.mp4.codec_config import codec_config
from framelane.live.mp4.movie_file import Sample, movie_file, times_of
from framelane.live.mp4.sample import sample

if TYPE_CHECKING:
    from pathlib import Path


def file_of(kind: Kind, *, start_ticks: int = 1_000_000) -> bytes:
    made = recording(kind)
    codec: Any = made.codec
    config = codec_config(codec, made.extradata)
    assert config is not None
    samples = [
        Sample(sample(codec, coded.data), start_ticks + coded.number * TICKS, coded.key)
        for coded in made.units
    ]
    return b"".join(movie_file(config, samples))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_picture_is_played_in_order_and_at_its_time(kind: Kind) -> None:
    with av.open(io.BytesIO(file_of(kind)), "r") as container:
        stream: Any = container.streams.video[0]
        assert stream.duration * stream.time_base == Fraction(40, FPS)
        frames: list[Any] = list(container.decode(video=0))
    assert [number_of(frame.to_ndarray(format="gray")) for frame in frames] == list(range(40))
    times = [float(frame.pts * frame.time_base) for frame in frames]
    assert times == pytest.approx([number / FPS for number in range(40)])


@pytest.mark.parametrize("kind", get_args(Kind))
def test_player_can_seek_to_any_key_frame(kind: Kind) -> None:
    keys = [coded.number for coded in recording(kind).units if coded.key]
    assert len(keys) > 2
    with av.open(io.BytesIO(file_of(kind)), "r") as container:
        stream: Any = container.streams.video[0]
        for number in keys[1:]:
            container.seek(int((number + 0.5) / FPS / stream.time_base), stream=stream)
            frame: Any = next(container.decode(video=0))
            assert number_of(frame.to_ndarray(format="gray")) == number


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize("kind", get_args(Kind))
def test_ffprobe_finds_no_fault(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(file_of(kind))
    done = subprocess.run(
        ["ffprobe", "-v", "warning", "-count_frames", "-show_entries", "stream=nb_read_frames", path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "nb_read_frames=40" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("shown", "durations", "offsets", "skipped"),
    [
        ([0], [3600], [0], 0),
        ([500, 600, 700], [100, 100, 100], [0, 0, 0], 0),
        # I P B B P B B: shown as 0 3 1 2 6 4 5.
        ([0, 300, 100, 200, 600, 400, 500], [100] * 7, [100, 300, 0, 0, 300, 0, 0], 100),
        # A camera that repeats a time stamp, and one that leaves a gap.
        ([0, 100, 100, 200], [100, 1, 99, 99], [1, 1, 0, 1], 1),
        ([0, 100, 5000], [100, 4900, 4900], [0, 0, 0], 0),
    ],
)
def test_each_picture_is_decoded_before_it_is_shown(
    shown: list[int], durations: list[int], offsets: list[int], skipped: int
) -> None:
    times = times_of(shown)
    assert (times.durations, times.offsets, times.skipped) == (durations, offsets, skipped)
