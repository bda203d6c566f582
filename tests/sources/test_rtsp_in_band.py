"""Cameras whose session description lacks the parameter sets, which RFC 6184 and RFC 7798 leave to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import av
import numpy as np
import pytest

from framelane.config.schema import StreamOptions
from framelane.core.clock import SystemClock
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.sources.container import ContainerSource
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from pathlib import Path

    from av import VideoStream

FPS, FRAMES = 25, 50


def noisy_clip(path: Path, encoder: str) -> Path:
    """Pictures that take several packets each; a key frame every two seconds."""
    noise = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = cast("VideoStream", container.add_stream(encoder, rate=FPS))
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "30", "g": str(FRAMES)}
        if encoder == "libx265":
            stream.options |= {"x265-params": f"log-level=none:keyint={FRAMES}:bframes=0"}
        for _ in range(FRAMES):
            pixels = noise.integers(0, 255, (240, 320, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("start_at_keyframe", [False, True])
@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_camera_is_opened_whose_description_lacks_the_parameter_sets(
    tmp_path: Path,
    encoder: str,
    start_at_keyframe: bool,  # noqa: FBT001
    transport: str,
) -> None:
    """FFmpeg without its parser looks for them in a piece of a picture, and gives up."""
    clip = noisy_clip(tmp_path / "clip.mp4", encoder)
    camera = CameraSpec("cam", clip, phase_s=0.3, sprop=False, start_at_keyframe=start_at_keyframe)
    options = StreamOptions.model_validate({"transport": transport})
    with (
        RtspServer([camera]) as server,
        ContainerSource(server.url("cam"), options, SystemClock(), Meters().stream("cam")) as source,
    ):
        first = next(iter(source.pictures()))
    assert (first.picture.width, first.picture.height) == (320, 240)
