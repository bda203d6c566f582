"""Our reader gets of real RTSP servers what FFmpeg gets, byte for byte, and lacks no picture.

scripts/check_readers.py does the same with more servers, clips and transports.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.neighbours.clips import ClipShape
from tests.neighbours.rtsp_clips import CLIPS, make_clip
from tests.neighbours.rtsp_readers import Comparison, Truth, compare, read_both
from tests.neighbours.rtsp_servers import SERVERS, NeighbourMissingError, Show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.neighbours.rtsp_servers import Auth

FRAMES = 50
SHAPE = ClipShape(320, 240, FRAMES, 25)
SECONDS = 20.0
AT_ONCE = 4


class Case(NamedTuple):
    """A server, what it shows, and what it asks for."""

    server: str
    clip: str
    auth: Auth = "none"
    audio: bool = False


CASES = (
    Case("demo", "h264-slices"),
    Case("demo", "hevc-bframes"),
    Case("gst", "h264", auth="digest", audio=True),
    Case("gst", "h264-slices", auth="basic"),
    Case("gst", "h264-bframes"),
    Case("gst", "hevc"),
    Case("aio", "h264-slices"),
    Case("aio", "h264-bframes"),
    Case("aio", "hevc-bframes"),
)


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Case, Future[Comparison]]]:
    """Some at the same time: most of it is waiting for pictures."""
    folder = tmp_path_factory.mktemp("served")
    clips = {case.clip: make_clip(folder, case.clip, SHAPE) for case in CASES}

    def run(case: Case) -> Comparison:
        show = Show(clips[case.clip], CLIPS[case.clip].codec, case.auth, case.audio)
        truth = Truth(show.clip, show.codec)
        with SERVERS[case.server](show) as running:
            ours, theirs = read_both(running.url, truth, len(truth), SECONDS)
            return compare(truth, ours, theirs, whole=running.whole)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(run, case) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_our_reader_gets_every_picture_that_ffmpeg_gets(
    comparisons: dict[Case, Future[Comparison]], case: Case
) -> None:
    try:
        found = comparisons[case].result()
    except NeighbourMissingError as error:
        pytest.skip(str(error))
    assert (found.missing, found.unknown, found.damaged, found.differing) == (0, 0, 0, 0)
    assert found.ours >= FRAMES - 1
    assert found.theirs > 0
