"""A camera's sub-stream: when it is open, what it shows, and what becomes of its faults. The camera is real."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from structlog.testing import capture_logs
from tests.neighbours.clips import ClipShape, draw_clip
from tests.waiting import wait_until

from framelane.config.sections.stream import StreamConfig
from framelane.core.clock import SystemClock
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.live import preview_feed
from framelane.live.hub import LiveHub
from framelane.live.preview import Preview
from framelane.live.records import Kind
from framelane.live.tap import StreamTap
from framelane.sources.interfaces.tap import UnitOrigin
from framelane.sources.rtsp.reactor import Reactor

from .coded import recording, unit_of
from .found import result
from .viewers import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.demo.rtsp import Camera

PASSWORD = "s3cret-of-the-preview"
LINGER_S = 0.6
QUICK = {"backoff": {"first_s": 0.1, "most_s": 0.3}, "read_timeout_s": 1.0, "open_timeout_s": 3.0}


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def server(clip_folder: Path) -> Iterator[RtspServer]:
    h264, mjpeg = (draw_clip(clip_folder, kind, ClipShape(320, 176)) for kind in ("h264", "mjpeg"))
    specs = [
        CameraSpec("small", h264),
        CameraSpec("other", h264),
        CameraSpec("pictures", mjpeg),
        CameraSpec("locked", h264, "admin", "another"),
    ]
    with RtspServer(specs) as server:
        yield server


class Rig:
    """A hub with one stream that has a sub-stream."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.reactor = Reactor(self.clock)
        self.hub = LiveHub(self.clock)
        self.tap = StreamTap()

    def preview(self, url: str, **options: Any) -> None:
        """Set the sub-stream, as a change of the configuration does."""
        stream = {"id": "cam", "url": "rtsp://h/1", "preview_url": url, **QUICK, **options}
        config = StreamConfig.model_validate(stream)
        self.hub.add("cam", self.tap, Preview.of(config, self.reactor, self.clock))

    def stop(self) -> None:
        assert self.hub.stop(10.0)
        self.reactor.stop(10.0)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(preview_feed, "LINGER_S", LINGER_S)
    rig = Rig()
    yield rig
    rig.stop()
    assert [each.name for each in threading.enumerate() if each.name.startswith("preview-")] == []


def states(viewer: Kept) -> list[tuple[str, str]]:
    """State and reason, as they were told."""
    found = [orjson.loads(each.payload) for each in viewer.records if each.kind is Kind.PREVIEW]
    return [(each["state"], each["reason"]) for each in found]


def clients(camera: Camera) -> int:
    return camera.stats.clients


def pictures(viewer: Kept) -> int:
    return len(viewer.times(Kind.VIDEO))


def test_sub_stream_is_open_only_while_somebody_watches(rig: Rig, server: RtspServer) -> None:
    camera, viewer = server.camera("small"), Kept()
    rig.preview(server.url("small"))
    rig.hub.watch("cam", "tile", viewer)
    time.sleep(0.3)
    assert clients(camera) == 0
    rig.hub.watch("cam", "video", viewer)
    wait_until(lambda: pictures(viewer) >= 5)
    assert (clients(camera), states(viewer)[-1]) == (1, ("live", "ok"))
    rig.hub.unwatch("cam", "video", viewer)
    left_s = time.monotonic()
    wait_until(lambda: clients(camera) == 0)
    assert time.monotonic() - left_s >= LINGER_S


def test_viewer_who_comes_back_in_time_finds_it_open(rig: Rig, server: RtspServer) -> None:
    first, second = Kept(), Kept()
    rig.preview(server.url("small"))
    rig.hub.watch("cam", "video", first)
    wait_until(lambda: pictures(first) >= 2)
    rig.hub.unwatch("cam", "video", first)
    time.sleep(LINGER_S / 3)
    rig.hub.watch("cam", "video", second)
    wait_until(lambda: pictures(second) >= 2)
    time.sleep(LINGER_S * 1.5)
    assert states(second) == [("live", "ok")]
    assert len(server.camera("small").stats.plays_s) == 1


def test_viewers_share_one_session(rig: Rig, server: RtspServer) -> None:
    viewers = [Kept() for _ in range(3)]
    rig.preview(server.url("small"))
    for viewer in viewers:
        rig.hub.watch("cam", "video", viewer)
    wait_until(lambda: all(pictures(each) >= 3 for each in viewers))
    assert len(server.camera("small").stats.plays_s) == 1


def test_boxes_of_the_stream_are_placed_in_the_sub_stream_and_its_own_video_is_not_sent(
    rig: Rig, server: RtspServer
) -> None:
    made, viewer = recording(), Kept()
    rig.preview(server.url("small"))
    rig.hub.watch("cam", "video", viewer)
    wait_until(lambda: pictures(viewer) >= 3)
    unit = unit_of(made.units[0], made.extradata)
    assert rig.tap.unit is not None
    assert unit.arrival is not None
    assert rig.tap.result is not None
    rig.tap.unit(UnitOrigin("h264"), unit._replace(arrival=unit.arrival._replace(captured_at=time.time())))
    rig.tap.result(result(0))
    wait_until(lambda: len(viewer.times(Kind.BOXES)) == 1)
    boxes = next(each for each in viewer.records if each.kind is Kind.BOXES)
    assert orjson.loads(boxes.payload)["near"] is True
    newest_s = viewer.times(Kind.VIDEO)[-1]
    assert boxes.media_s == pytest.approx(newest_s, abs=0.3)
    # The recording is of another size.
    assert all((176).to_bytes(2, "big") in each.payload[:1000] for each in viewer.records if each.key)


@pytest.mark.parametrize(
    ("path", "reason"), [("locked", "unauthorized"), ("pictures", "codec"), ("nowhere", "not-found")]
)
def test_fault_is_told_to_each_viewer_and_affects_nothing_else(
    rig: Rig, server: RtspServer, path: str, reason: str
) -> None:
    viewer, later = Kept(), Kept()
    url = f"rtsp://admin:{PASSWORD}@127.0.0.1:{server.port}/{path}"
    rig.preview(url)
    rig.hub.watch("cam", "video", viewer)
    wait_until(lambda: ("down", reason) in states(viewer))
    rig.hub.watch("cam", "video", later)
    assert states(later)
    assert not any(PASSWORD.encode() in each.payload for each in viewer.records)


def test_refused_login_is_not_tried_again_by_each_viewer_but_after_a_reload(
    rig: Rig, server: RtspServer
) -> None:
    """Cameras lock accounts after several wrong passwords."""
    rig.preview(f"rtsp://admin:{PASSWORD}@127.0.0.1:{server.port}/locked")
    with capture_logs() as lines:
        for _ in range(5):
            viewer = Kept()
            rig.hub.watch("cam", "video", viewer)
            wait_until(lambda: states(viewer)[-1:] == [("down", "unauthorized")])  # noqa: B023 - runs at once
            time.sleep(0.5)
            rig.hub.unwatch("cam", "video", viewer)
            time.sleep(LINGER_S + 0.3)

        def refusals() -> int:
            return sum(each["event"] == "preview_down" for each in lines)

        assert refusals() == 2
        last = [each for each in viewer.records if each.kind is Kind.PREVIEW][-1]
        assert "next try in 5 minutes; reload to try at once" in orjson.loads(last.payload)["text"]
        rig.hub.retry()
        rig.hub.watch("cam", "video", viewer)
        wait_until(lambda: refusals() == 3)


def test_sub_stream_that_is_lost_is_opened_again(rig: Rig, server: RtspServer) -> None:
    camera, viewer = server.camera("small"), Kept()
    rig.preview(server.url("small"))
    rig.hub.watch("cam", "video", viewer)
    wait_until(lambda: ("live", "ok") in states(viewer))
    camera.kill()
    wait_until(lambda: ("down", "lost") in states(viewer))
    camera.revive()
    wait_until(lambda: states(viewer)[-1] == ("live", "ok"))
    before = viewer.times(Kind.VIDEO)
    wait_until(lambda: len(viewer.times(Kind.VIDEO)) > len(before) + 3)
    times = viewer.times(Kind.VIDEO)
    # The time line goes on.
    assert times == sorted(times)


def test_another_address_takes_effect_at_once_and_the_same_one_changes_nothing(
    rig: Rig, server: RtspServer
) -> None:
    viewer = Kept()
    rig.preview(server.url("small"))
    rig.hub.watch("cam", "video", viewer)
    wait_until(lambda: pictures(viewer) >= 2)
    rig.preview(server.url("small"), confidence=0.7)
    time.sleep(0.3)
    assert len(server.camera("small").stats.plays_s) == 1
    rig.preview(server.url("other"))
    wait_until(lambda: clients(server.camera("other")) == 1)
    assert clients(server.camera("small")) == 0
    count = pictures(viewer)
    wait_until(lambda: pictures(viewer) > count + 2)


def test_stream_without_a_sub_stream_shows_its_own_video_again(rig: Rig, server: RtspServer) -> None:
    made, viewer = recording(), Kept()
    rig.preview(server.url("small"))
    rig.hub.watch("cam", "video", viewer)
    wait_until(lambda: pictures(viewer) >= 2)
    rig.hub.add("cam", rig.tap, None)
    wait_until(lambda: clients(server.camera("small")) == 0)
    count = pictures(viewer)
    assert rig.tap.unit is not None
    rig.tap.unit(UnitOrigin("h264"), unit_of(made.units[0], made.extradata))
    wait_until(lambda: pictures(viewer) == count + 1)


def test_stream_that_leaves_takes_its_sub_stream_with_it(rig: Rig, server: RtspServer) -> None:
    viewer = Kept()
    rig.preview(server.url("small"))
    rig.hub.watch("cam", "video", viewer)
    wait_until(lambda: pictures(viewer) >= 2)
    rig.hub.remove("cam")
    wait_until(lambda: clients(server.camera("small")) == 0)
