"""Make the clips that benchmark cameras loop: 1080p at 30 frames per second, coded like surveillance cameras.

    python scripts/make_surveillance_clips.py --out clips                     # 4 clips H.264, 4 clips HEVC
    python scripts/make_surveillance_clips.py --out clips --codec hevc --clips 2 --seconds 20
    python scripts/make_surveillance_clips.py --out clips --codec h264 --clips 1 --size 640x480 --fps 25

Constant bit rate, a key frame every two seconds, no B-frames. The frames come from the videos of --footage,
cropped to the wanted shape, scaled, and used one by one at the new rate, so that something moves in each. A
video that is too short loops. Without footage the clips show the demo's rendered streets.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from av.video import VideoStream
from av.video.reformatter import ColorRange, Colorspace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from framelane.demo.clips import DEMO_SEEDS
from framelane.demo.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

FOOTAGE = Path(__file__).resolve().parents[2] / "shared/videos"
KEY_FRAME_S = 2
BIT_RATES = {"h264": 3_000_000, "hevc": 2_000_000}
ENCODERS = {"h264": "libx264", "hevc": "libx265"}
# Matrix, primaries and transfer of ISO/IEC 23091-2.
_BT709 = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """Codec, size, rates and length of a clip."""

    codec: str
    size_wh: tuple[int, int]
    fps: int
    seconds: int
    bit_rate: int

    @property
    def options(self) -> dict[str, str]:
        """Return the encoder's options: constant bit rate over a second, no frame waits for a later one."""
        key, kbit = KEY_FRAME_S * self.fps, self.bit_rate // 1000
        rate = f"keyint={key}:min-keyint={key}:scenecut=0:bframes=0:vbv-maxrate={kbit}:vbv-bufsize={kbit}"
        if self.codec == "h264":
            return {"preset": "veryfast", "x264-params": f"{rate}:sliced-threads=0:rc-lookahead=10"}
        return {"preset": "veryfast", "x265-params": f"{rate}:rc-lookahead=10:log-level=error"}


def from_footage(video: Path, size_wh: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Yield a video's BGR frames in a loop, cropped to the shape and scaled."""
    while True:
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                yield fitted(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), size_wh)


def fitted(image: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the middle of a frame in the wanted shape, scaled to the wanted size."""
    height, width = image.shape[:2]
    scale = max(size_wh[0] / width, size_wh[1] / height)
    cut_w, cut_h = min(width, round(size_wh[0] / scale)), min(height, round(size_wh[1] / scale))
    left, top = (width - cut_w) // 2, (height - cut_h) // 2
    cut = image[top : top + cut_h, left : left + cut_w]
    return np.asarray(cv2.resize(cut, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)


def rendered(seed: int, shape: Shape) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a street of the demo."""
    scene, index = Scene(seed, shape.size_wh, float(shape.fps)), 0
    while True:
        yield scene.render(index / shape.fps)[0]
        index += 1


def encode(path: Path, pictures: Iterable[NDArray[np.uint8]], shape: Shape) -> None:
    """Write a clip; it appears under its name once it is complete."""
    unfinished = path.with_suffix(".part.mp4")
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream(ENCODERS[shape.codec], rate=shape.fps, options=shape.options)
        if not isinstance(stream, VideoStream):
            raise TypeError(f"{shape.codec} is not a video codec")
        stream.width, stream.height = shape.size_wh
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = shape.bit_rate
        stream.gop_size = KEY_FRAME_S * shape.fps
        context = stream.codec_context
        context.max_b_frames = 0
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        for index, picture in enumerate(islice(pictures, shape.seconds * shape.fps)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            frame.pts, frame.time_base = index, Fraction(1, shape.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    unfinished.replace(path)


def subjects(
    footage: Sequence[Path], count: int, shape: Shape
) -> Iterator[tuple[str, Iterator[NDArray[np.uint8]]]]:
    """Yield name and frames of each clip; a video that is used twice continues where the first clip ended."""
    for number in range(count):
        if not footage:
            seed = DEMO_SEEDS[number % len(DEMO_SEEDS)]
            yield f"street{seed:02d}", rendered(seed, shape)
            continue
        turn, index = divmod(number, len(footage))
        pictures = from_footage(footage[index], shape.size_wh)
        name = footage[index].stem.split("_")[0].split("-")[0]
        begin = turn * shape.seconds * shape.fps
        yield f"{name}{turn or ''}", islice(pictures, begin, None)


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the clips")
    parser.add_argument("--codec", choices=("h264", "hevc", "both"), default="both")
    parser.add_argument("--clips", type=int, default=4, help="clips of each codec")
    parser.add_argument("--seconds", type=int, default=14, help="length of a clip")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--bit-rate", type=int, help="3 Mbit/s for H.264 and 2 Mbit/s for HEVC by default")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder of videos with moving objects")
    return parser.parse_args()


def main() -> None:
    """Make the missing clips and print their names."""
    arguments = parse_arguments()
    width, height = (int(side) for side in arguments.size.split("x"))
    footage = sorted(arguments.footage.glob("*.mp4"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for codec in ENCODERS if arguments.codec == "both" else (arguments.codec,):
        bit_rate = arguments.bit_rate or BIT_RATES[codec]
        shape = Shape(codec, (width, height), arguments.fps, arguments.seconds, bit_rate)
        for name, pictures in subjects(footage, arguments.clips, shape):
            path = arguments.out / f"{name}-{height}p{shape.fps}-{codec}.mp4"
            if not path.exists():
                encode(path, pictures, shape)
            print(path, f"{path.stat().st_size * 8 / shape.seconds / 1e6:.2f} Mbit/s", flush=True)


if __name__ == "__main__":
    main()
