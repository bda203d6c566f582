"""`framelane probe` comes to an end, whatever the camera does."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.av1_camera import Av1Camera, av1_pictures
from tests.sources.odd_camera import OddCamera, serving

from framelane.core.errors import SourceError
from framelane.demo.rtsp import CameraSpec, RtspServer, camera
from framelane.sources.probe import probe_stream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.conftest import Watch


@pytest.mark.timeout(120)
@pytest.mark.parametrize("most", [0, 60])
def test_probe_ends_when_reports_come_and_no_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """As of a camera whose encoder has died, which FFmpeg reads for ever."""
    monkeypatch.setattr(camera, "REPORT_EVERY_S", 0.5)
    send, units = camera.LiveCamera._send_unit, count(1)

    def send_some(live: camera.LiveCamera, *unit: Any) -> None:
        if next(units) <= most:
            send(live, *unit)

    monkeypatch.setattr(camera.LiveCamera, "_send_unit", send_some)
    clip = draw_clip(tmp_path, "h264", ClipShape(frames=50))
    began_s = time.monotonic()
    with RtspServer([CameraSpec("cam", clip, start_at_keyframe=True)]) as server:
        if most:
            assert probe_stream(server.url("cam"), 60.0).frames > 10
        else:
            with pytest.raises(SourceError, match="no video comes"):
                probe_stream(server.url("cam"), 60.0)
    assert time.monotonic() - began_s < 40


@pytest.mark.parametrize("burst", [0, 25])
def test_probe_measures_the_rate_of_av1_and_calls_it_that(burst: int) -> None:
    """FFmpeg names the decoder, and its first two time stamps may be the same."""
    pictures = av1_pictures(60)
    with serving(Av1Camera(pictures, fps=15.0, burst=burst)) as server:
        report = probe_stream(server.url("cam"), 4.0)
    assert (report.codec, report.declared_fps) == ("av1", None)
    assert report.measured_fps == pytest.approx(15.0, abs=0.3)


def test_probe_measures_the_rate_at_which_pictures_arrive_when_time_stamps_are_wrong(tmp_path: Path) -> None:
    clip = draw_clip(tmp_path, "h264", ClipShape(frames=50))
    with serving(OddCamera(clip, stamp=lambda _number, at_s: 100 + at_s * 1.5)) as server:
        report = probe_stream(server.url("cam"), 4.0)
    assert report.measured_fps == pytest.approx(25.0, rel=0.08)


@pytest.mark.parametrize("reader", ["auto", "ffmpeg"])
def test_the_declared_rate_is_the_same_on_each_connection(tmp_path: Path, watch: Watch, reader: str) -> None:
    """FFmpeg guesses one from as many pictures as it happens to see."""
    clip = draw_clip(tmp_path, "h264", ClipShape(frames=50))
    with serving(OddCamera(clip, steps=(0.1,), sprop=False)) as server:
        rates = set()
        for _ in range(3):
            camera = watch(server.url("cam"), reader=reader)
            camera.wait_for_frames(2)
            rates.add(camera.states[-1].details.fps)
            camera.worker.stop(20)
    assert len(rates) == 1
