"""`framelane probe` comes to an end, whatever the camera does."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.core.errors import SourceError
from framelane.demo.rtsp import CameraSpec, RtspServer, camera
from framelane.sources.probe import probe_stream

if TYPE_CHECKING:
    from pathlib import Path


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
