"""Encodes pictures to files with exact settings: slices, pixel formats, color tags, odd sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from tests.neighbours.clips import ClipShape, gradient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]

X264 = {"preset": "veryfast", "tune": "zerolatency", "threads": "1", "g": "25"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1:bframes=0:keyint=25"}


@dataclass(frozen=True)
class Encoding:
    """An encoder with its options; `colorspace` and `color_range` are AVColorSpace and AVColorRange numbers."""

    codec: str
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=dict)
    fps: int = 25
    colorspace: int | None = None
    color_range: int | None = None


def encode(path: Path, encoding: Encoding, frames: Iterable[av.VideoFrame]) -> Path:
    """Write the frames, converted to the encoding's pixel format where they differ."""
    with av.open(str(path), "w") as sink:
        options = dict(encoding.options)
        stream = cast("VideoStream", sink.add_stream(encoding.codec, rate=encoding.fps, options=options))
        stream.pix_fmt = encoding.pixel_format
        for number, frame in enumerate(frames):
            if number == 0:
                stream.width, stream.height = frame.width, frame.height
                if encoding.colorspace is not None:
                    stream.codec_context.colorspace = encoding.colorspace
                if encoding.color_range is not None:
                    stream.codec_context.color_range = encoding.color_range
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    return path


def gradients(shape: ClipShape) -> Iterable[av.VideoFrame]:
    """The pictures of `tests.neighbours.clips`, every one different."""
    return (av.VideoFrame.from_ndarray(gradient(n, shape), format="rgb24") for n in range(shape.frames))


def fingerprint(frame: av.VideoFrame) -> bytes:
    """The pixels of all planes, without the padding behind each line."""
    digest = blake2b(digest_size=16)
    for plane in frame.planes:
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        sample_bytes = max(
            1, frame.format.components[0].bits // 8 + bool(frame.format.components[0].bits % 8)
        )
        digest.update(lines[: plane.height, : plane.width * sample_bytes].tobytes())
    return digest.digest()


def numbered(path: Path) -> dict[bytes, int]:
    """Which frame of a file, in presentation order, has these pixels."""
    with av.open(str(path)) as source:
        return {fingerprint(frame): number for number, frame in enumerate(source.decode(video=0))}
