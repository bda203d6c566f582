"""Clips are what a camera would send, and their truth belongs to their frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from framelane.demo.clips import Encoding, ensure_clips, load_truth, write_clip
from framelane.demo.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

SMALL_WH = (320, 240)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "street.mp4"
    write_clip(path, Scene(31, SMALL_WH), seconds=3.0)
    return path


def test_clip_has_every_frame_when_decoded(clip: Path) -> None:
    with av.open(str(clip)) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].average_rate == 15
    assert [round(float(frame.time) * 15) for frame in frames] == list(range(45))
    assert [i for i, frame in enumerate(frames) if frame.key_frame] == [0, 15, 30]
    assert {(frame.width, frame.height, frame.format.name) for frame in frames} == {(320, 240, "yuv420p")}


def test_clip_says_its_colours_when_probed(clip: Path) -> None:
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        assert (int(context.color_range), int(context.colorspace), context.has_b_frames) == (1, 6, False)


def test_clip_shows_the_scene_when_decoded(clip: Path) -> None:
    with av.open(str(clip)) as container:
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    expected, _ = Scene(31, SMALL_WH).render(20 / 15)
    assert np.abs(images[20].astype(int) - expected).mean() < 6
    assert np.abs((images[20].astype(int) - expected).mean(axis=(0, 1))).max() < 2


def test_truth_survives_when_written_and_read(clip: Path) -> None:
    truth = load_truth(clip)
    _, expected = Scene(31, SMALL_WH).render(7 / 15)
    assert (truth.seed, truth.fps, truth.size_wh, len(truth.frames)) == (31, 15.0, SMALL_WH, 45)
    np.testing.assert_array_equal(expected.xyxy, truth.frames[7].xyxy)
    np.testing.assert_array_equal(expected.class_id, truth.frames[7].class_id)
    np.testing.assert_array_equal(expected.ignore, truth.frames[7].ignore)
    np.testing.assert_array_equal(expected.actor, truth.frames[7].actor)


@pytest.mark.parametrize(
    ("pts_s", "expected"), [(0.0, 0), (7 / 15, 7), (0.4666, 7), (3.0, 0), (300.0 + 44 / 15, 44)]
)
def test_truth_finds_the_frame_when_the_clip_looped(clip: Path, pts_s: float, expected: int) -> None:
    assert expected == load_truth(clip).index_at(pts_s)


def test_truth_is_refused_when_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"schema": "other/1"}')
    with pytest.raises(ValueError, match=r"x\.json is not a framelane\.truth/1 file; delete the clip"):
        load_truth(tmp_path / "x.mp4")


@pytest.mark.parametrize(
    ("name", "encoding", "codec"),
    [
        ("a.mp4", Encoding("libx265"), "hevc"),
        ("a.mkv", Encoding("mjpeg", "yuvj420p", full_range=True), "mjpeg"),
        ("b.mp4", Encoding("libx264", "yuv444p"), "h264"),
        ("c.mp4", Encoding("libx265", "yuv420p10le"), "hevc"),
    ],
)
def test_clip_decodes_when_coded_otherwise(tmp_path: Path, name: str, encoding: Encoding, codec: str) -> None:
    scene = Scene(24, (160, 120))
    write_clip(tmp_path / name, scene, seconds=0.4, encoding=encoding)
    with av.open(str(tmp_path / name)) as container:
        assert codec == container.streams.video[0].codec_context.name
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(images) == 6
    expected, _ = scene.render(3 / 15)
    assert np.abs((images[3].astype(int) - expected).mean(axis=(0, 1))).max() < 6


def test_clips_are_rendered_once_when_asked_for_again(tmp_path: Path) -> None:
    paths = ensure_clips(tmp_path, 1, size_wh=(160, 120), fps=5)
    stamps = [path.stat().st_mtime_ns for path in paths]
    assert stamps == [
        path.stat().st_mtime_ns for path in ensure_clips(tmp_path, 1, size_wh=(160, 120), fps=5)
    ]
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".mp4"]
    assert len(load_truth(paths[0]).frames) == 60


def test_nothing_is_left_when_encoding_fails(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no_such_codec"):
        write_clip(tmp_path / "x.mp4", Scene(1, (160, 120)), 0.2, Encoding("no_such_codec"))
    assert list(tmp_path.iterdir()) == []
