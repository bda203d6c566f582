"""Video clips of rendered streets, made once and kept, each with its ground truth in a file next to it.

A clip loops without a seam. So a camera that plays it forever shows frame `round(pts_s * fps) % frames` at
any presentation time that counts from a start of the clip. `ClipTruth.at` uses this to find what a detection
should say.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from framelane.demo.scene import CLASS_NAMES, RENDERER_VERSION, Scene
from framelane.demo.truth import GroundTruth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.demo.canvas import Image

SCHEMA = "framelane.truth/1"
DEMO_SEEDS = (37, 26, 23, 8, 36, 27, 22, 30, 1, 5, 35, 24, 4, 38, 31, 20)
"""Scenes that look good and differ. Further clips use seeds from 100 on."""

# SMPTE 170M in ISO/IEC 23091-2: the same number for matrix, primaries and transfer.
_BT601 = 6


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a clip is coded; the defaults are those of a simple camera."""

    # An FFmpeg encoder: libx264, libx265, mjpeg.
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    bit_rate: int = 1_000_000
    full_range: bool = False


@dataclass(frozen=True, slots=True)
class ClipTruth:
    """The ground truth of a clip, frame by frame."""

    seed: int
    fps: float
    size_wh: tuple[int, int]
    frames: tuple[GroundTruth, ...]

    def index_at(self, pts_s: float) -> int:
        """Return the frame shown at a time since any start of the looping clip."""
        return round(pts_s * self.fps) % len(self.frames)

    def at(self, pts_s: float) -> GroundTruth:
        """Return what is visible at a time since any start of the looping clip."""
        return self.frames[self.index_at(pts_s)]


def write_clip(
    path: Path, scene: Scene, seconds: float | None = None, encoding: Encoding | None = None
) -> ClipTruth:
    """Render and encode a clip and its truth. Both appear at once, at `path` and as `.json` next to it.

    `seconds` defaults to the scene's loop; a shorter clip does not loop without a seam.
    """
    encoding = encoding or Encoding()
    count = round((seconds or scene.loop_s) * scene.fps)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}-{path.name}")
    truths: list[GroundTruth] = []
    try:
        _encode(unfinished, scene, count, encoding, truths)
        truth = ClipTruth(scene.seed, scene.fps, scene.size_wh, tuple(truths))
        notes = unfinished.with_suffix(".json")
        notes.write_text(_to_json(truth))
        notes.replace(path.with_suffix(".json"))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return truth


def _encode(path: Path, scene: Scene, count: int, encoding: Encoding, truths: list[GroundTruth]) -> None:
    rate = Fraction(scene.fps).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoding.codec, rate=rate, options=_options(encoding, scene.fps))
        if not isinstance(stream, VideoStream):
            raise TypeError(f"{encoding.codec} is not a video encoder")
        _describe(stream, scene, encoding)
        for i in range(count):
            image, truth = scene.render(i / scene.fps)
            truths.append(truth)
            frame = video_frame(image, encoding)
            frame.pts = i
            frame.time_base = 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _options(encoding: Encoding, fps: float) -> dict[str, str]:
    """Return options for one key frame per second and no frame that waits for a later one."""
    key = round(fps)
    if encoding.codec == "libx264":
        return {
            "preset": "superfast",
            "tune": "zerolatency",
            "x264-params": f"keyint={key}:min-keyint={key}:scenecut=0:bframes=0",
        }
    if encoding.codec == "libx265":
        return {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x265-params": f"keyint={key}:min-keyint={key}:scenecut=0:bframes=0:log-level=error:pools=1",
        }
    return {}


def _describe(stream: VideoStream, scene: Scene, encoding: Encoding) -> None:
    """Set size, rate and the color description that decoders need."""
    context = stream.codec_context
    stream.width, stream.height = scene.size_wh
    stream.pix_fmt = encoding.pixel_format
    stream.bit_rate = encoding.bit_rate
    context.gop_size = round(scene.fps)
    context.max_b_frames = 0
    context.thread_count = 1
    context.colorspace = context.color_primaries = context.color_trc = _BT601
    context.color_range = ColorRange.JPEG if encoding.full_range else ColorRange.MPEG


def video_frame(image: Image, encoding: Encoding) -> VideoFrame:
    """Turn BGR [H, W, 3] into BT.601 YUV. For the usual format, OpenCV's conversion is the fast way."""
    even = image.shape[0] % 2 == 0 and image.shape[1] % 2 == 0
    if encoding.pixel_format == "yuv420p" and even and not encoding.full_range:
        frame = VideoFrame.from_ndarray(
            np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8), format="yuv420p"
        )
    else:
        frame = VideoFrame.from_ndarray(image, format="bgr24").reformat(
            format=encoding.pixel_format,
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.JPEG if encoding.full_range else ColorRange.MPEG,
        )
    frame.colorspace = Colorspace.ITU601
    frame.color_range = ColorRange.JPEG if encoding.full_range else ColorRange.MPEG
    return frame


def ensure_clips(
    directory: Path, count: int, size_wh: tuple[int, int] = (640, 480), fps: float = 15.0
) -> list[Path]:
    """Return `count` different clips of 12 s in `directory`; two processes render missing ones."""
    paths = {clip_path(directory, seed, size_wh, fps): seed for seed in _seeds(count)}
    missing = [(path, seed, size_wh, fps) for path, seed in paths.items() if not path.exists()]
    if len(missing) > 1:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max_workers=2, mp_context=context) as pool:
            list(pool.map(_make_clip, missing))
    elif missing:
        _make_clip(missing[0])
    return list(paths)


def clip_path(directory: Path, seed: int, size_wh: tuple[int, int], fps: float) -> Path:
    """Return where a clip is kept. The name includes the renderer version."""
    return directory / f"street-v{RENDERER_VERSION}-{seed:06d}-{size_wh[0]}x{size_wh[1]}-{fps:g}fps.mp4"


def _seeds(count: int) -> list[int]:
    further = max(0, count - len(DEMO_SEEDS))
    return [*DEMO_SEEDS[:count], *range(100, 100 + further)]


def _make_clip(job: tuple[Path, int, tuple[int, int], float]) -> None:
    path, seed, size_wh, fps = job
    cv2.setNumThreads(1)
    write_clip(path, Scene(seed, size_wh, fps))


def load_truth(path: Path) -> ClipTruth:
    """Read the truth of a clip, given the clip's path or its `.json`."""
    notes = json.loads(path.with_suffix(".json").read_text())
    if notes.get("schema") != SCHEMA:
        raise ValueError(
            f"{path.with_suffix('.json')} is not a {SCHEMA} file; delete the clip to have it rendered again"
        )
    width, height = notes["size_wh"]
    return ClipTruth(notes["seed"], notes["fps"], (width, height), tuple(_read_frames(notes["frames"])))


def _read_frames(rows: list[dict[str, list[float]]]) -> Iterator[GroundTruth]:
    for row in rows:
        yield GroundTruth(
            xyxy=np.array(row["xyxy"], np.float32).reshape(-1, 4),
            class_id=np.array(row["class_id"], np.int64),
            visible=np.array(row["visible"], np.float32),
            ignore=np.array(row["ignore"], np.bool_),
            actor=np.array(row["actor"], np.int64),
        )


def _to_json(truth: ClipTruth) -> str:
    frames = [
        {
            "xyxy": frame.xyxy.tolist(),
            "class_id": frame.class_id.tolist(),
            "visible": [round(float(v), 3) for v in frame.visible],
            "ignore": frame.ignore.tolist(),
            "actor": frame.actor.tolist(),
        }
        for frame in truth.frames
    ]
    head = {"schema": SCHEMA, "renderer": RENDERER_VERSION, "seed": truth.seed, "fps": truth.fps}
    return json.dumps({**head, "size_wh": truth.size_wh, "names": CLASS_NAMES, "frames": frames})
