"""Clips that cameras of each kind would send: every codec, one slice and many, with and without B-frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.pictures import X264, X265, Encoding, encode, gradients

if TYPE_CHECKING:
    from pathlib import Path


class ClipKind(NamedTuple):
    """A codec by FFmpeg's name, and how it is encoded; None as `draw_clip` does."""

    codec: str
    encoding: Encoding | None


_X264 = {"preset": "veryfast", "threads": "1", "g": "25"}
_X265 = "log-level=none:pools=1:frame-threads=1:keyint=25:min-keyint=25"
CLIPS = {
    "h264": ClipKind("h264", Encoding("libx264", options=X264)),
    "h264-slices": ClipKind("h264", Encoding("libx264", options={**X264, "slices": "4", "qp": "22"})),
    "h264-bframes": ClipKind("h264", Encoding("libx264", options={**_X264, "bf": "3", "slices": "2"})),
    "hevc": ClipKind("hevc", Encoding("libx265", options=X265)),
    "hevc-bframes": ClipKind(
        "hevc",
        Encoding("libx265", options={"preset": "ultrafast", "x265-params": f"{_X265}:bframes=3:slices=2"}),
    ),
    "mjpeg": ClipKind("mjpeg", None),
}


def make_clip(folder: Path, name: str, shape: ClipShape) -> Path:
    """Encode a clip, unless it is there already."""
    kind = CLIPS[name]
    if kind.encoding is None:
        path = folder / f"{name}-{shape.width}x{shape.height}.mkv"
        return path if path.exists() else draw_clip(folder, name, shape)
    path = folder / f"{name}.mp4"
    return path if path.exists() else encode(path, kind.encoding, gradients(shape))
