"""Cameras whose session description lacks the parameter sets, which RFC 6184 and RFC 7798 leave to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import av
import numpy as np
import pytest

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from pathlib import Path

    from av import VideoStream


def noisy_clip(path: Path, encoder: str, fps: int = 25, frames: int = 50) -> Path:
    """Pictures that take several packets each; the first is the only key frame."""
    noise = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = cast("VideoStream", container.add_stream(encoder, rate=fps))
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "30", "g": str(frames)}
        if encoder == "libx265":
            stream.options |= {"x265-params": f"log-level=none:keyint={frames}:bframes=0"}
        for _ in range(frames):
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
        ContainerSource(
            server.url("cam"), options, SourceParts(SystemClock(), Meters().stream("cam"))
        ) as source,
    ):
        first = next(iter(source.pictures()))
    assert (first.picture.width, first.picture.height) == (320, 240)


def test_camera_whose_key_frames_are_far_apart_is_waited_for(tmp_path: Path) -> None:
    """Without parameter sets nothing can be decoded until the next key frame, here some 600 pictures later."""
    clip = noisy_clip(tmp_path / "clip.mp4", "libx264", fps=200, frames=600)
    camera = CameraSpec("cam", clip, phase_s=0.1, sprop=False)
    options = StreamOptions(ffmpeg={"probesize": "2000"})  # or FFmpeg itself waits for it, some seconds
    with (
        RtspServer([camera]) as server,
        ContainerSource(
            server.url("cam"), options, SourceParts(SystemClock(), Meters().stream("cam"))
        ) as source,
    ):
        assert next(iter(source.pictures())).picture.key_frame
