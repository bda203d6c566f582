"""A camera of which one packet in a hundred is lost: whole pictures pass, bit for bit, and all others are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape
from tests.neighbours.rtsp_clips import make_clip
from tests.sources.conftest import stop_all
from tests.sources.pictures import numbered
from tests.sources.watched import WatchedCamera

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOSS = 0.01
SHAPE = ClipShape(480, 272, frames=50, fps=25)
KINDS = ("h264-slices", "h264-bframes", "hevc-bframes")
GAPS = 3
FRAMES = 40
INSIDE = 40
"""Pictures that wait, or are inside the decoder, when the count is made."""


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, WatchedCamera]]]:
    """All at the same time, until each has lost some and shown many."""
    folder = tmp_path_factory.mktemp("lossy")
    clips = {kind: make_clip(folder, kind, SHAPE) for kind in KINDS}
    with RtspServer([CameraSpec(kind, clip) for kind, clip in clips.items()]) as server:
        cameras = {kind: WatchedCamera(server.url(kind), read_timeout_s=10.0, late_ms=5000) for kind in clips}
        for kind in clips:
            server.camera(kind).drop(LOSS)
        for camera in cameras.values():
            camera.worker.start()
        try:
            for camera in cameras.values():
                camera.wait_for_frames(FRAMES)
                camera.wait_for(lambda each=camera: each.dropped["damaged"] >= GAPS, "loss")  # type: ignore[misc]
        finally:
            stop_all(list(cameras.values()))
        yield {kind: (clips[kind], camera) for kind, camera in cameras.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_lacks_a_packet_is_shown(
    lossy: dict[str, tuple[Path, WatchedCamera]], kind: str
) -> None:
    clip, camera = lossy[kind]
    truth = numbered(clip)
    assert [number for number, seen in enumerate(camera.seen) if seen.pixels not in truth] == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_picture_is_shown_or_counted(lossy: dict[str, tuple[Path, WatchedCamera]], kind: str) -> None:
    _, camera = lossy[kind]
    missing = camera.received - len(camera.seen) - sum(camera.dropped.values())
    assert 0 <= missing <= INSIDE
    assert [state.reason for state in camera.states if state.state == "down"] == []
