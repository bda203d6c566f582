"""The clip that benchmark cameras loop: 640x480 at 25 frames a second, H.264 as a plain camera sends it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av

from framelane.demo.clips import ensure_clips

if TYPE_CHECKING:
    from pathlib import Path

SIZE_WH = (640, 480)
FPS = 25
_GOP = 50
_FRAMES = 500  # whole groups of pictures, so that the loop has no short one
_BIT_RATE = 1_500_000
_X264 = {"preset": "veryfast", "tune": "zerolatency", "x264-params": "sliced-threads=0:bframes=0"}


def benchmark_clip(given: Path | None, footage: Path, folder: Path) -> Path:
    """The clip that was asked for; else real footage, scaled and retimed; else rendered streets.

    Args:
        given: a clip that a camera can send as it is.
        footage: a video of anything that moves.
        folder: where to put what is made.
    """
    if given is not None:
        return given
    if footage.is_file():
        return retimed(footage, folder / "clip.mp4")
    return ensure_clips(folder, 1, SIZE_WH, float(FPS))[0]


def retimed(source: Path, target: Path, frames: int = _FRAMES) -> Path:
    """Code the first frames of a video anew, whatever its size and rate; a shorter one starts again."""
    with av.open(str(target), "w") as output:
        stream = output.add_stream("libx264", rate=FPS, options=_X264)
        stream.width, stream.height = SIZE_WH
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = _BIT_RATE
        stream.gop_size = _GOP
        stream.codec_context.thread_count = 1
        done = 0
        while done < frames:
            with av.open(str(source)) as container:
                for frame in container.decode(video=0):
                    if done == frames:
                        break
                    picture = frame.reformat(*SIZE_WH, "yuv420p")
                    picture.pts, picture.time_base = done, Fraction(1, FPS)
                    output.mux(stream.encode(picture))
                    done += 1
        output.mux(stream.encode(None))
    return target
