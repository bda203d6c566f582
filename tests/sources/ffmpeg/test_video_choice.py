"""Files with several videos: covers are none, the largest is shown, and `video` names another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from av.stream import Disposition

from framelane.sources.ffmpeg.video_choice import numbered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from av.video.stream import VideoStream
    from tests.sources.conftest import Watch

Track = tuple[str, int, int, int]  # codec, width, height, pictures
COVER: Track = ("mjpeg", 320, 240, 1)
SMALL: Track = ("libx264", 64, 48, 10)
LARGE: Track = ("libx264", 160, 96, 10)


def film(path: Path, tracks: Sequence[Track], covers: Sequence[int] = ()) -> str:
    """A file with these tracks; those numbered in `covers` are marked as cover pictures."""
    with av.open(str(path), "w") as sink:
        streams = []
        for number, (codec, width, height, _) in enumerate(tracks):
            stream = cast("VideoStream", sink.add_stream(codec, rate=25))
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            if number in covers:
                stream.disposition = Disposition.attached_pic
            streams.append(stream)
        for stream, (_, width, height, count) in zip(streams, tracks, strict=True):
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 20 * number, np.uint8))
                frame.pts = number
                sink.mux(stream.encode(frame))
            sink.mux(stream.encode(None))
    return str(path)


def sizes(camera: Any) -> list[tuple[int, int]]:
    return sorted({(seen.info.width, seen.info.height) for seen in camera.seen})


@pytest.mark.parametrize(
    ("tracks", "covers", "count", "size_wh"),
    [
        ([COVER, SMALL], [0], 10, (64, 48)),
        ([COVER, SMALL], [], 10, (64, 48)),
        ([SMALL, COVER], [1], 10, (64, 48)),
        ([SMALL, LARGE], [], 10, (160, 96)),
        ([LARGE, SMALL], [], 10, (160, 96)),
        ([COVER], [], 1, (320, 240)),
    ],
    ids=["cover first", "unmarked cover", "cover last", "large last", "large first", "one picture"],
)
def test_largest_video_is_shown_and_no_cover(
    tmp_path: Path, watch: Watch, tracks: list[Track], covers: list[int], count: int, size_wh: tuple[int, int]
) -> None:
    suffix = "mp4" if covers else "mkv"  # Matroska keeps covers elsewhere
    camera = watch(film(tmp_path / f"film.{suffix}", tracks, covers), realtime=False)
    end = camera.wait_for_end()
    assert (end.reason, len(camera.seen), sizes(camera)) == ("finished", count, [size_wh])


def test_state_says_which_of_several_videos_is_shown(tmp_path: Path, watch: Watch) -> None:
    camera = watch(film(tmp_path / "film.mkv", [SMALL, LARGE]), realtime=False)
    camera.wait_for_end()
    assert camera.first("live").text == "frames arrive; video 1 of 2 (h264, 160x96) is shown"


@pytest.mark.parametrize(("video", "size_wh"), [(0, (64, 48)), (1, (160, 96))])
def test_video_that_is_asked_for_is_shown(
    tmp_path: Path, watch: Watch, video: int, size_wh: tuple[int, int]
) -> None:
    """Covers do not count."""
    path = film(tmp_path / "film.mp4", [COVER, SMALL, LARGE], [0])
    with av.open(path) as container:
        assert len(container.streams.video) == 3
    camera = watch(path, realtime=False, video=video)
    camera.wait_for_end()
    assert sizes(camera) == [size_wh]


def test_video_that_is_not_there_is_a_fault(tmp_path: Path, watch: Watch) -> None:
    camera = watch(film(tmp_path / "film.mkv", [SMALL, LARGE]), video=2)
    down = camera.first("down")
    assert (down.reason, down.text) == ("no-video", "there is no video 2: it has 2, from 0 to 1")
    assert numbered(1) == "it has one, number 0"


def test_sound_with_a_cover_holds_no_video(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as sink:
        sound: Any = sink.add_stream("aac", rate=8000, layout="mono")
        cover: Any = sink.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        silence.rate = 8000
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
        for stream, frame in ((sound, silence), (cover, picture)):
            sink.mux(stream.encode(frame))
            sink.mux(stream.encode(None))
    camera = watch(str(path))
    assert camera.first("down").reason == "no-video"
