"""Checks a clip of a daemon: whether it plays, and shows what its events promise."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import av

from framelane.measure.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FFPROBE = shutil.which("ffprobe")
_PICTURE_S = 0.15
"""Two distances of the cameras' pictures; no edge can be exact to less."""
_GAP_S = 0.5
"""Most seconds between two pictures: a camera of the demo that is late on a busy host moves its time by that."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What the options of a stream promise of each clip.

    Attributes:
        before_s: seconds before its object came.
        after_s: seconds after its object was last seen.
        most_s: most seconds from its object on.
    """

    before_s: float
    after_s: float
    most_s: float


@dataclass(frozen=True, slots=True)
class Checked:
    """What a clip is.

    Attributes:
        begin_s: seconds from the promised begin to its first picture; negative if it begins before that.
        gop_s: the longest distance of its key frames.
        faults: what is wrong with it.
    """

    begin_s: float
    gop_s: float
    faults: tuple[str, ...]


def check_clip(
    path: Path, ready: Mapping[str, Any], end: Mapping[str, Any] | None, promise: Promise
) -> Checked:
    """Check a file against the event `clip`, and the `end` that it belongs to if that has come."""
    times_s, keys_s, faults = _played(path)
    since, at = unix_time(ready["since"]), unix_time(ready["at"])
    came = unix_time(ready["object"]["since"])
    begin_s = since - (came - promise.before_s)
    gop_s = max((b - a for a, b in itertools.pairwise(keys_s)), default=0.0)
    if begin_s > 0:
        faults.append(f"begins {begin_s:.2f} s too late")
    # A clip of one GOP does not tell how long that is.
    if gop_s and begin_s < -gop_s - _PICTURE_S:
        faults.append(f"begins {-begin_s:.2f} s early, more than one GOP of {gop_s:.2f} s")
    wanted_end = came + promise.most_s
    if end is not None:
        wanted_end = min(unix_time(end["at"]) + promise.after_s, wanted_end)
    if not -_PICTURE_S <= wanted_end - at <= _PICTURE_S:
        faults.append(f"ends {at - wanted_end:+.2f} s off")
    if times_s and abs((times_s[-1] - times_s[0]) - (at - since)) > _PICTURE_S:
        faults.append(f"has {times_s[-1] - times_s[0]:.2f} s of pictures, its event says {at - since:.2f} s")
    gap_s = max((b - a for a, b in itertools.pairwise(times_s)), default=0.0)
    if gap_s > _GAP_S:
        faults.append(f"lacks pictures for {gap_s:.2f} s")
    return Checked(begin_s, gop_s, tuple(faults))


def unix_time(text: str) -> float:
    """Return a message's time as Unix time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _played(path: Path) -> tuple[list[float], list[float], list[str]]:
    """Play a file; return the times of all pictures and of key frames, in order, and what went wrong."""
    faults = []
    times_s: list[float] = []
    keys_s: list[float] = []
    try:
        with av.open(io.BytesIO(path.read_bytes()), "r") as container:
            for packet in container.demux(video=0):
                if packet.pts is None or packet.time_base is None:
                    continue
                times_s.append(float(packet.pts * packet.time_base))
                if packet.is_keyframe:
                    keys_s.append(times_s[-1])
    except av.FFmpegError as error:
        faults.append(f"does not play: {error}")
    if not keys_s or keys_s[0] != min(times_s):
        faults.append("does not begin with a key frame")
    return sorted(times_s), keys_s, [*faults, *_decoded(path, len(times_s))]


def _decoded(path: Path, pictures: int) -> list[str]:
    """Decode every picture with ffprobe; return what went wrong."""
    if FFPROBE is None:
        raise BenchError("ffprobe is not installed: apt-get install ffmpeg")
    command = [FFPROBE, "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames"]
    done = subprocess.run([*command, "-of", "json", str(path)], capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        return [f"ffprobe: {done.stderr.strip() or done.returncode}"]
    found = int(json.loads(done.stdout)["streams"][0]["nb_read_frames"])
    return [] if found == pictures else [f"ffprobe shows {found} of {pictures} pictures"]
