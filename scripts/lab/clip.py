"""The clips that benchmark cameras loop: H.264 like a plain camera's, by default 640x480 at 25 frames/s."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from framelane.demo.clips import ensure_clips

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_WH = (640, 480)
FPS = 25
# A whole number of GOPs, so that the loop has no short one.
_FRAMES = 500
_X264 = "sliced-threads=0:bframes=0"
# Height of a frame divided by the side of the moving square in drawn clips.
_BOX_SHARE = 6


@dataclass(frozen=True, slots=True)
class Coding:
    """How a camera codes.

    Attributes:
        size_wh: width and height of its pictures.
        fps: frames per second.
        gop: frames from one key frame to the next.
        bit_rate: bits per second.
        scene_cuts: whether a scene cut adds a key frame.
    """

    size_wh: tuple[int, int] = SIZE_WH
    fps: int = FPS
    gop: int = 50
    bit_rate: int = 1_500_000
    scene_cuts: bool = True

    @property
    def options(self) -> dict[str, str]:
        """Return the encoder's options."""
        params = _X264 if self.scene_cuts else f"{_X264}:scenecut=0"
        return {"preset": "veryfast", "tune": "zerolatency", "x264-params": params}


def benchmark_clip(given: Path | None, footage: Path, folder: Path) -> Path:
    """Return the given clip, else real footage, scaled and retimed, else rendered streets.

    Args:
        given: a clip that a camera can send as it is.
        footage: a video of anything that moves.
        folder: where new clips go.
    """
    if given is not None:
        return given
    if footage.is_file():
        return retimed(footage, folder / "clip.mp4")
    return ensure_clips(folder, 1, SIZE_WH, float(FPS))[0]


def kept_clip(footage: Path, coding: Coding, groups: int) -> Path:
    """Return a clip of the given number of GOPs, made once and kept in the system's temporary folder.

    It shows the footage if that exists, else drawn frames without noise.
    """
    width, height = coding.size_wh
    pictures = footage.stem if footage.is_file() else "drawn"
    name = f"{pictures}-{width}x{height}-{coding.fps}fps-{coding.gop}gop-{groups}-{coding.bit_rate}.mp4"
    folder = Path(tempfile.gettempdir()) / "framelane-bench-clips"
    folder.mkdir(exist_ok=True)
    path = folder / name
    if not path.exists():
        unfinished = path.with_suffix(".part.mp4")
        frames = groups * coding.gop
        if footage.is_file():
            retimed(footage, unfinished, frames, coding)
        else:
            encode(_drawn(coding.size_wh), unfinished, frames, coding)
        unfinished.replace(path)
    return path


def retimed(source: Path, target: Path, frames: int = _FRAMES, coding: Coding | None = None) -> Path:
    """Encode the first frames of a video of any size and rate; a shorter one loops."""
    return encode(_looped(source), target, frames, coding or Coding())


def encode(pictures: Iterator[av.VideoFrame], target: Path, frames: int, coding: Coding) -> Path:
    """Write this many of the pictures, scaled to the coding's size; return the path."""
    with av.open(str(target), "w") as output:
        stream = output.add_stream("libx264", rate=coding.fps, options=coding.options)
        stream.width, stream.height = coding.size_wh
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = coding.bit_rate
        stream.gop_size = coding.gop
        stream.codec_context.thread_count = 1
        for number in range(frames):
            picture = next(pictures).reformat(*coding.size_wh, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, coding.fps)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return target


def _looped(source: Path) -> Iterator[av.VideoFrame]:
    while True:
        with av.open(str(source)) as container:
            yield from container.decode(video=0)


def _drawn(size_wh: tuple[int, int]) -> Iterator[av.VideoFrame]:
    """Yield frames of a bright square that crosses a gray gradient."""
    width, height = size_wh
    side, number = height // _BOX_SHARE, 0
    slope = np.linspace(30, 200, width).astype(np.uint8)
    while True:
        image = np.repeat(np.broadcast_to(slope, (height, width))[:, :, None], 3, axis=2)
        left, top = 8 * number % (width - side), 3 * number % (height - side)
        image[top : top + side, left : left + side] = 255
        yield av.VideoFrame.from_ndarray(image, format="bgr24")
        number += 1
