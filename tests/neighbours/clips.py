"""Draws tiny clips for tests: a moving gradient in which every frame differs from every other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.stream import VideoStream

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_X264 = {"preset": "veryfast", "tune": "zerolatency", "threads": "1"}
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1:bframes=0:keyint=25"}
# What RTP can carry and FFmpeg reads back: two tables, no restart intervals, the standard Huffman tables.
_MJPEG = {"threads": "1", "force_duplicated_matrix": "1", "huffman": "default", "qmin": "4", "qmax": "8"}
ENCODERS = {
    "h264": ("libx264", "yuv420p", ".mp4", {**_X264, "g": "25"}),
    "h264-bframes": (
        "libx264",
        "yuv420p",
        ".mp4",
        {"preset": "veryfast", "threads": "1", "bf": "2", "g": "25"},
    ),
    "hevc": ("libx265", "yuv420p", ".mp4", _X265),
    "mjpeg": ("mjpeg", "yuvj420p", ".mkv", _MJPEG),
}


@dataclass(frozen=True)
class ClipShape:
    """How large, how long, how fast."""

    width: int = 320
    height: int = 240
    frames: int = 30
    fps: int = 25


def draw_clip(folder: Path, kind: str, shape: ClipShape | None = None) -> Path:
    """Encode a clip of one of `ENCODERS`' kinds and return its path."""
    shape = shape or ClipShape()
    encoder, pixel_format, suffix, options = ENCODERS[kind]
    path = folder / f"{kind}-{shape.width}x{shape.height}{suffix}"
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream(encoder, rate=shape.fps, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, pixel_format
        for number in range(shape.frames):
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(gradient(number, shape), format="rgb24")))
        sink.mux(stream.encode(None))
    return path


def gradient(number: int, shape: ClipShape) -> NDArray[np.uint8]:
    """The RGB picture of one frame, height x width x 3."""
    y, x = np.mgrid[0 : shape.height, 0 : shape.width]
    planes = [x + 5 * number, y + 3 * number, x + y + 7 * number]
    return np.stack([plane % 256 for plane in planes], axis=-1).astype(np.uint8)


def decode_file(path: Path) -> list[NDArray[np.uint8]]:
    """Every frame of a file as FFmpeg decodes it, in presentation order."""
    with av.open(str(path)) as source:
        return [frame.to_ndarray().astype(np.uint8, copy=False) for frame in source.decode(video=0)]
