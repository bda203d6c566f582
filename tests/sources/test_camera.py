"""A camera's thread, whatever it reads: when it begins, how it ends, and what becomes of faults that nobody foresaw."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.watched import WatchedCamera

from framelane.core.worker import Worker
from framelane.gpu.availability import why_no_nvdec
from framelane.sources.decoding.decoder import DecoderChoice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.core.frames import Frame

IMAGES = 3
NVDEC = DecoderChoice(gpu=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The cheapest source: a folder of images."""
    made = tmp_path / "images"
    made.mkdir()
    for number in range(IMAGES):
        cv2.imwrite(str(made / f"{number}.png"), np.full((24, 32, 3), 40 * number, np.uint8))
    return made


@pytest.fixture
def camera(folder: Path) -> Iterator[WatchedCamera]:
    made = WatchedCamera(str(folder), realtime=False)
    yield made
    assert made.worker.stop(20)
    made.ingest.stop(20)


def test_stream_that_is_played_to_its_end_ends_its_thread_and_lets_the_batcher_go(
    camera: WatchedCamera,
) -> None:
    camera.worker.start()
    last = camera.wait_for_end()
    assert (last.state, last.reason, last.text) == ("down", "finished", "played to its end")
    assert [each.info.index for each in camera.seen] == list(range(IMAGES))
    assert [each.state for each in camera.states] == ["connecting", "connecting", "live", "down"]
    assert not camera.live


def test_stop_while_a_source_is_read_is_no_fault(folder: Path) -> None:
    camera = WatchedCamera(str(folder), realtime=False, loop=True)
    camera.worker.start()
    camera.wait_for_frames(2 * IMAGES)
    assert camera.worker.stop(20)
    assert "down" not in [each.state for each in camera.states]
    assert not camera.live
    camera.ingest.stop(20)


def test_camera_opens_nothing_before_those_before_it_have_ended(camera: WatchedCamera) -> None:
    """Many cameras allow one session, and a thread in a read can't be interrupted."""
    woken, within, free = threading.Semaphore(0), threading.Event(), threading.Event()

    class Stuck(Worker):
        def run_once(self) -> None:
            within.set()
            free.wait(60)

        def wake(self) -> None:
            woken.release()

    stuck = Stuck("stuck")
    stuck.start()
    assert within.wait(60)
    stuck.stopping.set()
    camera.worker._before = [stuck]
    camera.worker.start()
    assert all(woken.acquire(timeout=60) for _ in range(3))
    assert [each.reason for each in camera.states] == ["starting"]
    free.set()
    camera.wait_for_frames(IMAGES)
    assert stuck.join(60)


def test_camera_that_is_stopped_while_it_waits_for_another_opens_nothing(camera: WatchedCamera) -> None:
    class Endless(Worker):
        def run_once(self) -> None:
            self.stopping.wait()

    other = Endless("other")
    other.start()
    camera.worker._before = [other]
    camera.worker.start()
    assert camera.worker.stop(20)
    assert camera.seen == []
    assert other.stop(20)


def test_fault_that_nobody_foresaw_is_shown_logged_with_its_trace_and_retried(
    camera: WatchedCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [ZeroDivisionError("by surprise"), ZeroDivisionError("by surprise")]
    real = camera.offer

    def offer(frame: Frame, *, wait: bool = False) -> None:
        if faults:
            raise faults.pop()
        real(frame, wait=wait)

    monkeypatch.setattr(camera, "offer", offer)
    with capture_logs() as logs:
        camera.worker.start()
        camera.wait_for_end()
    downs = [each for each in camera.states if each.state == "down"]
    assert [each.reason for each in downs] == ["failed", "failed", "finished"]
    assert "by surprise" in downs[0].text
    told = [each for each in logs if each["event"] == "stream_down"]
    assert [(each["reason"], type(each["exc_info"])) for each in told] == [("failed", ZeroDivisionError)] * 2
    assert told[0]["retry_s"] < told[1]["retry_s"] <= 0.4
    assert len(camera.seen) == IMAGES


def test_source_that_is_not_there_says_so_without_a_trace(tmp_path: Path) -> None:
    camera = WatchedCamera(str(tmp_path / "absent.mp4"))
    with capture_logs() as logs:
        camera.worker.start()
        down = camera.first("down")
    assert camera.worker.stop(20)
    camera.ingest.stop(20)
    assert down.reason == "missing"
    (told,) = [each for each in logs if each["event"] == "stream_down"][:1]
    assert (told["stream"], told["exc_info"]) == ("cam", None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("clip"), "h264", ClipShape(64, 48, 5))


@pytest.mark.skipif(why_no_nvdec() is None, reason="this host has NVDEC")
@pytest.mark.parametrize("choice", [NVDEC, DecoderChoice(missing="there is no driver")])
def test_stream_goes_on_on_the_cpu_and_says_so_where_there_is_no_nvdec(
    clip: Path, choice: DecoderChoice
) -> None:
    """With NVDEC chosen this is FFmpeg's own refusal."""
    camera = WatchedCamera(str(clip), realtime=False, loop=True, choice=choice)
    with capture_logs() as logs:
        camera.worker.start()
        camera.wait_for_frames(12)
        live = camera.first("live")
        assert camera.worker.stop(20)
    camera.ingest.stop(20)
    why = choice.missing or "NVDEC can't be opened (Operation not permitted)"
    assert live.text == f"frames arrive; decoded on the CPU: {why}"
    assert live.details.decoder == "cpu"
    said = [entry for entry in logs if entry["event"] == "decoder_fallback"]
    assert [(entry["stream"], entry["reason"]) for entry in said] == [("cam", why)]
    assert camera.meter.snapshot().fallbacks == 1


@pytest.mark.skipif(why_no_nvdec() is None, reason="this host has NVDEC")
def test_fallback_is_logged_once_when_the_stream_connects_again(clip: Path) -> None:
    camera = WatchedCamera(str(clip), realtime=False, choice=NVDEC)
    with capture_logs() as logs:
        for _ in range(2):
            camera.worker.stopping.clear()
            camera.worker.run_once()
    assert [entry["event"] for entry in logs].count("decoder_fallback") == 1
    assert camera.meter.snapshot().fallbacks == 2
    camera.ingest.stop(20)
