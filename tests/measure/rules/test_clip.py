"""Recordings as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.config.sections.stream import StreamConfig
from framelane.measure.errors import InputError
from framelane.measure.rules.clip import Clip

if TYPE_CHECKING:
    from pathlib import Path


def stream(**options: object) -> StreamConfig:
    return StreamConfig.model_validate({"id": "gate", "url": "x.mp4", **options})


@pytest.mark.parametrize("kind", ["h264", "h264-bframes", "mjpeg"])
def test_clip_gives_every_picture_and_infers_those_that_are_due(kind: str, tmp_path: Path) -> None:
    path = draw_clip(tmp_path, kind, ClipShape(frames=25))
    with Clip(str(path), stream(fps=5)) as clip:
        frames = list(clip.frames())
    assert [each.number for each in frames] == list(range(1, 26))
    assert [round(each.at_s * 25) for each in frames] == list(range(25))
    inferred = [each for each in frames if each.frame is not None]
    assert [each.number for each in inferred] == [1, 6, 11, 16, 21]
    infos = [each.frame.info for each in inferred if each.frame is not None]
    assert [(info.index, info.clock) for info in infos] == [(index, "media") for index in range(5)]
    assert [info.captured_at for info in infos] == [each.at_s for each in inferred]


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is no video")
    (tmp_path / "folder").mkdir()
    cases = {
        "none.mp4": "none.mp4 can't be played: there is no such file",
        "text.mp4": "text.mp4 can't be played: ",
        "folder": "folder can't be played: no images in ",
    }
    for name, message in cases.items():
        with pytest.raises(InputError) as refused, Clip(str(tmp_path / name), stream()) as clip:
            list(clip.frames())
        assert message in str(refused.value)
    with pytest.raises(InputError, match="the clip is not a file; record the camera"):
        Clip("rtsp://127.0.0.1/x", stream())
