"""Cameras whose time stamps say anything: the rate, `pts` and the state are right all the same."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.odd_camera import OddCamera, serving
from tests.sources.pictures import X264, Encoding, encode, gradients

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sources.conftest import Clips, Watch

READERS = ["auto", "ffmpeg"]
ODD: dict[str, Callable[[int, float], float]] = {
    "in milliseconds": lambda number, _at_s: 100 + number * 40 / 90_000,
    "frozen": lambda _number, _at_s: 100.0,
    "19 % fast": lambda _number, at_s: 100 + at_s * 1.19,
    "19 % slow": lambda _number, at_s: 100 + at_s * 0.81,
    "outliers": lambda number, at_s: 100 + at_s + (20_000 if number % 50 == 49 else 0),
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("odd"), "h264", ClipShape(160, 96, frames=50, fps=25))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("odd", ODD)
def test_results_come_at_the_wanted_rate_whatever_the_time_stamps_do(
    clip: Path, watch: Watch, odd: str, reader: str
) -> None:
    with serving(OddCamera(clip, stamp=ODD[odd])) as server, capture_logs() as logs:
        camera = watch(server.url("cam"), fps=5, reader=reader)
        camera.wait_for_frames(10)
        begun, begun_s = len(camera.seen), time.monotonic()
        camera.wait_for(lambda: time.monotonic() - begun_s >= 8.0, "time")
        rate = (len(camera.seen) - begun) / (time.monotonic() - begun_s)
        seen = camera.seen
        if odd != "outliers":
            # A busy host delays pictures, so that it may take another few seconds to be sure.
            camera.wait_for(lambda: "time stamps" in camera.states[-1].text, "word of wrong time stamps")
        states = camera.states
    assert rate == pytest.approx(5.0, abs=0.2)
    times = [one.info.pts_s for one in seen]
    assert times == sorted(set(times))
    told = [entry["text"] for entry in logs if entry["event"] == "time_stamps_wrong"]
    if odd == "outliers":
        assert (told, {state.text for state in states if state.state == "live"}) == ([], {"frames arrive"})
        assert times[-1] - times[0] == pytest.approx(len(times) / 5, abs=0.5)
    else:
        assert len(told) == 1
        assert states[-1].text == f"frames arrive; {told[0]}"
    assert {state.state for state in states} == {"connecting", "live"}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["h264", "slices", "hevc"])
@pytest.mark.parametrize("low_latency", [True, False])
def test_pictures_that_share_a_time_stamp_are_all_right(
    clips: Clips,
    watch: Watch,
    kind: str,
    reader: str,
    low_latency: bool,  # noqa: FBT001
) -> None:
    """Five have one each time: 200 of 200."""
    truth = clips.numbers(kind)
    camera = OddCamera(
        clips.paths[kind], steps=(0.02,), stamp=lambda number, _at_s: 100 + number // 5 / 10, count=201
    )
    with serving(camera) as server:
        viewer = watch(
            server.url("cam"), reader=reader, low_latency=low_latency, late_ms=60_000, read_timeout_s=20.0
        )
        seen = viewer.wait_for_frames(200)
        dropped = sum(viewer.dropped.values())
    assert [truth.get(one.pixels) for one in seen] == [number % 50 for number in range(200)]
    assert dropped == 0


@pytest.mark.parametrize("reader", READERS)
def test_a_stream_of_key_frames_far_apart_is_not_stalled(tmp_path: Path, watch: Watch, reader: str) -> None:
    """With `skip: nonkey` a GOP of 7 s: pictures arrive all the time, and few of them are decoded."""
    encoding = Encoding("libx264", options={**X264, "g": "175", "sc_threshold": "0"})
    path = encode(tmp_path / "long.mp4", encoding, gradients(ClipShape(160, 96, frames=175, fps=25)))
    with serving(OddCamera(path)) as server:
        camera = watch(server.url("cam"), skip="nonkey", reader=reader, silence_s=5.0)
        camera.wait_for_frames(3)
        states = camera.states
    assert [state.state for state in states] == ["connecting", "connecting", "live"]
    came_s = [seen.info.received_s for seen in camera.seen]
    assert min(after - before for before, after in pairwise(came_s)) > 6
