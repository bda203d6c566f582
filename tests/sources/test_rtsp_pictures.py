"""What comes over RTSP is what the clip holds: every codec and transport, from mid-GOP on, with its time of capture."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.sources.conftest import EARLY, stop_all
from tests.sources.watched import WatchedCamera

if TYPE_CHECKING:
    from tests.sources.conftest import Clips, Watch

    from framelane.demo.rtsp import RtspServer

FRAMES = 60
KINDS = {
    "h264": ("h264", "yuv420p", (320, 240)),
    "h264-bframes": ("h264", "yuv420p", (320, 240)),
    "hevc": ("hevc", "yuv420p", (320, 240)),
    "mjpeg": ("mjpeg", "yuvj420p", (320, 240)),
    "slices": ("h264", "yuv420p", (320, 240)),
    "large-slices": ("h264", "yuv420p", (640, 352)),
    "large-hevc": ("hevc", "yuv420p", (640, 352)),
    "h264-10bit": ("h264", "yuv420p10le", (320, 240)),
    "hevc-10bit": ("hevc", "yuv420p10le", (320, 240)),
    "odd": ("h264", "yuv444p", (321, 241)),
}
UDP = ("h264", "hevc", "mjpeg")
PLAIN = ("h264", "hevc")
RECORDINGS = [
    *((kind, "tcp", True) for kind in KINDS),
    *((kind, "udp", True) for kind in UDP),
    *((kind, "tcp", False) for kind in PLAIN),
]


@pytest.fixture(scope="session")
def recordings(server: RtspServer) -> dict[tuple[str, str, bool], WatchedCamera]:
    """One watched camera for each of RECORDINGS, all recorded at the same time, however busy the host is."""
    cameras = {
        (kind, transport, early): WatchedCamera(
            server.url(kind), transport=transport, low_latency=early, late_ms=60_000
        )
        for kind, transport, early in RECORDINGS
    }
    for camera in cameras.values():
        camera.worker.start()
    try:
        for camera in cameras.values():
            camera.wait_for_frames(FRAMES)
    finally:
        stop_all(list(cameras.values()))
    return cameras


@pytest.mark.parametrize(("kind", "transport", "early"), RECORDINGS)
def test_camera_gives_the_clips_own_frames_when_it_joins_in_mid_gop(
    recordings: dict[tuple[str, str, bool], WatchedCamera],
    clips: Clips,
    kind: str,
    transport: str,
    early: bool,  # noqa: FBT001
) -> None:
    truth = clips.numbers(kind)
    camera = recordings[kind, transport, early]
    numbers = [truth.get(seen.pixels) for seen in camera.seen]
    assert None not in numbers
    steps = {(after - before) % len(truth) for before, after in pairwise(n for n in numbers if n is not None)}
    assert steps == {1}
    assert camera.dropped["decode"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_camera_says_what_the_video_is(
    recordings: dict[tuple[str, str, bool], WatchedCamera], kind: str
) -> None:
    camera = recordings[kind, "tcp", True]
    codec, pixel_format, size_wh = KINDS[kind]
    live = next(state for state in camera.states if state.live)
    assert (live.details.codec, live.details.width, live.details.height) == (codec, *size_wh)
    assert (live.details.decoder, live.details.clock) == ("cpu", "rtcp")
    assert {seen.pixel_format for seen in camera.seen} == {pixel_format}
    assert {(seen.info.width, seen.info.height) for seen in camera.seen} == {size_wh}


@pytest.mark.parametrize(("kind", "transport", "early"), RECORDINGS)
def test_camera_tells_when_each_frame_was_captured_when_it_has_sender_reports(
    recordings: dict[tuple[str, str, bool], WatchedCamera],
    server: RtspServer,
    clips: Clips,
    kind: str,
    transport: str,
    early: bool,  # noqa: FBT001
) -> None:
    truth = clips.numbers(kind)
    steered = server.camera(kind)
    newest = recordings[kind, transport, early].seen[-20:]
    assert {seen.info.clock for seen in newest} == {"rtcp"}
    # 20 ms lie between two frames, so that the right frame is within 10 ms.
    assert [steered.frame_at(seen.info.captured_at, 0.01) for seen in newest] == [
        truth[seen.pixels] for seen in newest
    ]


def test_camera_times_go_forward(recordings: dict[tuple[str, str, bool], WatchedCamera]) -> None:
    for camera in recordings.values():
        seen = camera.seen
        assert [one.info.index for one in seen] == list(range(len(seen)))
        times = [one.info.pts_s for one in seen]
        assert times == sorted(set(times))


def shows(camera: WatchedCamera, truth: dict[bytes, int], number: int | None) -> bool:
    return truth[camera.seen[-1].pixels] == number


def test_camera_hands_a_frame_on_before_the_next_one_is_sent(
    server: RtspServer, clips: Clips, watch: Watch
) -> None:
    steered = {kind: server.camera(f"early-{kind}") for kind in EARLY}
    sent_before = {kind: camera.stats.frames_sent for kind, camera in steered.items()}
    cameras = {kind: watch(server.url(f"early-{kind}"), read_timeout_s=10.0) for kind in EARLY}
    for camera in cameras.values():
        camera.wait_for_frames(75)  # it learns from a handful of pictures and two key frames
    for each in steered.values():
        each.pause()
    for kind, camera in cameras.items():
        truth = clips.numbers(kind)
        newest = steered[kind].frame_at(time.time(), tolerance_s=60)
        last = partial(shows, camera, truth, newest)
        camera.wait_for(last, f"frame {newest} of {kind}, the last sent")
        assert camera.received == steered[kind].stats.frames_sent - sent_before[kind]
    for each in steered.values():
        each.heal()


def test_camera_is_a_frame_late_when_low_latency_is_off(server: RtspServer, watch: Watch) -> None:
    steered = server.camera("early-h264")
    sent_before = steered.stats.frames_sent
    camera = watch(server.url("early-h264"), read_timeout_s=10.0, low_latency=False)
    camera.wait_for_frames(75)
    steered.pause()
    sent = steered.stats.frames_sent - sent_before
    camera.wait_for(lambda: camera.received >= sent - 1, "the last but one frame")
    assert camera.received == sent - 1
    steered.heal()
