"""The check of clips: it passes what is as promised, and names what is not."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from lab.clip_check import FFPROBE, Promise, check_clip

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(FFPROBE is None, reason="ffprobe is not installed: apt-get install ffmpeg")

BEGIN = 1_000_000.0
PROMISE = Promise(before_s=2.0, after_s=1.0, most_s=20.0)
SHAPE = ClipShape(frames=100)
"""Four seconds with a key frame in each."""


def moment(at: float) -> str:
    return datetime.fromtimestamp(BEGIN + at, timezone.utc).isoformat().replace("+00:00", "Z")


def faults(
    path: Path, *, came: float, ended: float | None, since: float = 0.0, at: float = 3.96
) -> list[str]:
    ready: dict[str, Any] = {"since": moment(since), "at": moment(at), "object": {"since": moment(came)}}
    end = None if ended is None else {"at": moment(ended)}
    return list(check_clip(path, ready, end, PROMISE).faults)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("clip"), "h264", SHAPE)


@pytest.mark.parametrize(
    ("came", "ended", "expected"),
    [
        (2.0, 3.0, []),
        (2.9, 3.0, []),
        (1.5, 3.0, ["begins 0.50 s too late"]),
        (3.5, 3.0, ["begins 1.50 s early, more than one GOP of 1.00 s"]),
        (2.0, 2.5, ["ends +0.46 s off"]),
        (2.0, 3.5, ["ends -0.54 s off"]),
        (2.0, None, ["ends -18.04 s off"]),
    ],
)
def test_edges_are_compared_with_the_promise(
    clip: Path, came: float, ended: float | None, expected: list[str]
) -> None:
    assert faults(clip, came=came, ended=ended) == expected


def test_event_that_says_more_than_the_file_shows_is_a_fault(clip: Path) -> None:
    assert faults(clip, came=2.5, ended=4.5, at=5.5) == ["has 3.96 s of pictures, its event says 5.50 s"]


def test_file_that_is_cut_off_does_not_play(clip: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.mp4"
    part.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert any(fault.startswith("does not play") for fault in faults(part, came=2.0, ended=3.0))
