"""Every way in which an RTSP camera misbehaves: what the stream's state says, and that it comes back."""

from __future__ import annotations

import io
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import structlog
from tests.sources.conftest import PASSWORD

from framelane.core.log import setup
from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sources.conftest import Clips, Watch
    from tests.sources.watched import WatchedCamera

UNAUTHORIZED = (
    "the camera refuses the user name or password (Server returned 401 Unauthorized (authorization failed))"
)

NO_LOGIN = "the camera asks for a user name and password, and the URL has none"


@pytest.fixture
def log_text(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged, down to debug."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.excepthook", None)
    monkeypatch.setattr("threading.excepthook", None)
    setup("debug", "json", stream=stream)
    yield stream
    structlog.reset_defaults()


def reasons(camera: WatchedCamera) -> list[tuple[str, str]]:
    return [(state.state, state.reason) for state in camera.states]


def first_fault(camera: WatchedCamera) -> tuple[str, str]:
    state = camera.first("down")
    return state.reason, state.text


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("name", ["basic", "digest"])
def test_camera_logs_in_when_the_password_is_right(
    server: RtspServer, watch: Watch, name: str, transport: str
) -> None:
    camera = watch(server.url(name), transport=transport)
    camera.wait_for_frames(1)
    assert reasons(camera) == [("connecting", "starting"), ("connecting", "opening"), ("live", "ok")]


@pytest.mark.parametrize("name", ["basic", "digest"])
@pytest.mark.parametrize("user", ["", "admin:wrong-mellon-word@", f"wrong:{quote(PASSWORD, safe='')}@"])
def test_camera_is_unauthorized_and_keeps_the_secret_when_the_password_is_wrong(
    server: RtspServer, watch: Watch, log_text: io.StringIO, name: str, user: str
) -> None:
    camera = watch(server.url(name, credentials=False).replace("rtsp://", f"rtsp://{user}"))
    assert first_fault(camera) == ("unauthorized", UNAUTHORIZED if user else NO_LOGIN)
    camera.wait_for_state("connecting", after=3)
    told = log_text.getvalue() + repr(camera.states)
    assert "stream_down" in told
    assert "sesame" not in told
    assert "mellon" not in told


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nowhere", ("not-found", "the server has no stream at this path (Server returned 404 Not Found)")),
        ("exotic", ("codec", "no decoder for the stream's codec; set the camera to H.264 or H.265")),
    ],
)
def test_camera_is_down_when_the_server_has_nothing_for_it(
    server: RtspServer, watch: Watch, name: str, expected: tuple[str, str]
) -> None:
    assert first_fault(watch(server.url(name))) == expected


def test_camera_is_down_when_the_server_speaks_no_wanted_transport(clips: Clips, watch: Watch) -> None:
    with RtspServer([CameraSpec("cam", clips.paths["h264"])], transports=("tcp",)) as server:
        camera = watch(server.url("cam"), transport="udp")
        assert first_fault(camera)[0] == "transport"
        camera.worker.stop(20)


def test_camera_is_refused_when_nothing_listens(watch: Watch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        camera = watch(f"rtsp://user:secret@127.0.0.1:{bound.getsockname()[1]}/cam")
        expected = ("refused", "nothing listens at this address; check host and port (Connection refused)")
        assert first_fault(camera) == expected
        camera.wait_for_state("down", after=4)  # and it goes on trying


def test_camera_times_out_when_the_server_never_answers(server: RtspServer, watch: Watch) -> None:
    steered = server.camera("silent")
    steered.silence()
    camera = watch(server.url("silent"), open_timeout_s=0.5)
    expected = ("timeout", "the other side accepts the connection and does not answer")
    assert first_fault(camera) == expected
    steered.heal()
    camera.wait_for_state("live")


def test_camera_is_stalled_then_down_then_live_again_when_it_pauses(
    server: RtspServer, watch: Watch, clips: Clips
) -> None:
    truth = clips.numbers("h264")
    steered = server.camera("stall")
    camera = watch(server.url("stall"), silence_s=0.3)
    camera.wait_for_frames(5)
    steered.pause()
    stalled = camera.wait_for_state("stalled")
    down = camera.wait_for_state("down", after=stalled)
    assert [(state.state, state.reason) for state in camera.states[stalled : down + 1]] == [
        ("stalled", "silent"),
        ("down", "timeout"),
    ]
    assert not camera.live
    steered.resume()
    live = camera.wait_for_state("live", after=down)
    camera.wait_for_frames(len(camera.seen) + 5)
    assert camera.states[live].reconnects == 1
    assert {seen.pixels for seen in camera.seen} <= truth.keys()


def test_camera_is_live_again_without_a_reconnect_when_it_pauses_for_a_moment(
    server: RtspServer, watch: Watch
) -> None:
    steered = server.camera("stall")
    camera = watch(server.url("stall"), silence_s=0.2, read_timeout_s=20.0)
    camera.wait_for_frames(5)
    steered.pause()
    stalled = camera.wait_for_state("stalled")
    steered.resume()
    live = camera.wait_for_state("live", after=stalled)
    assert reasons(camera)[stalled:] == [("stalled", "silent"), ("live", "ok")]
    assert camera.states[live].reconnects == 0


@pytest.mark.parametrize(
    ("name", "clip", "codec", "size_wh"),
    [("restart", "wide", "h264", (352, 208)), ("recode", "hevc", "hevc", (320, 240))],
)
def test_camera_comes_back_with_what_it_became_when_it_restarts(
    server: RtspServer, watch: Watch, clips: Clips, name: str, clip: str, codec: str, size_wh: tuple[int, int]
) -> None:
    steered = server.camera(name)
    camera = watch(server.url(name))
    camera.wait_for_frames(5)
    steered.kill()
    down = camera.wait_for_state("down")
    assert camera.states[down].reason in {"lost", "reset"}
    assert not camera.live
    before = len(camera.seen)
    steered.revive(clips.paths[clip])
    live = camera.first("live", after=down)
    camera.wait_for_frames(before + 5)
    assert (live.details.codec, live.details.width, live.details.height) == (codec, *size_wh)
    assert {seen.pixels for seen in camera.seen[before:]} <= clips.numbers(clip).keys()
    assert live.reconnects == 1


def test_camera_goes_on_when_the_resolution_changes_in_mid_stream(
    server: RtspServer, watch: Watch, clips: Clips
) -> None:
    steered = server.camera("resize")
    camera = watch(server.url("resize"))
    camera.wait_for_frames(60)  # it hands pictures on early by then, which the change must not upset
    steered.revive(clips.paths["wide"])
    camera.wait_for(lambda: camera.seen[-1].info.width == 352, "wide picture")
    camera.wait_for_frames(len(camera.seen) + 60)
    known = clips.numbers("h264").keys() | clips.numbers("wide").keys()
    assert {seen.pixels for seen in camera.seen} <= known
    assert [(state.state, state.details.width, state.details.height) for state in camera.states[2:]] == [
        ("live", 320, 240),
        ("live", 352, 208),
    ]
    times = [seen.info.pts_s for seen in camera.seen]
    assert times == sorted(set(times))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_camera_ends_at_once_when_it_is_stopped_in_a_pause(
    server: RtspServer, watch: Watch, transport: str
) -> None:
    steered = server.camera("stall")
    camera = watch(server.url("stall"), read_timeout_s=60.0, transport=transport)
    camera.wait_for_frames(5)
    steered.pause()
    paused_s = time.monotonic()
    camera.wait_for(lambda: time.monotonic() - paused_s > 1.5, "pause")
    assert camera.worker.stop(10)
    steered.resume()


def test_camera_finds_the_parameter_sets_when_the_description_lacks_them(
    server: RtspServer, watch: Watch, clips: Clips
) -> None:
    camera = watch(server.url("in-band"))
    seen = camera.wait_for_frames(30)
    assert {one.pixels for one in seen} <= clips.numbers("h264").keys()


def test_camera_stamps_the_arrival_when_no_sender_reports_come(server: RtspServer, watch: Watch) -> None:
    steered = server.camera("damaged")
    steered.stop_reports()
    camera = watch(server.url("damaged"))
    seen = camera.wait_for_frames(10)
    assert {one.info.clock for one in seen} == {"receive"}
    steered.heal()


def test_camera_is_down_and_back_when_it_sends_noise(server: RtspServer, watch: Watch, clips: Clips) -> None:
    steered = server.camera("noise")
    steered.garbage(1.0, "stream")
    camera = watch(server.url("noise"))
    down = camera.wait_for_state("down")
    assert camera.seen == []
    steered.heal()
    camera.wait_for_state("live", after=down)
    assert camera.wait_for_frames(5)[0].pixels in clips.numbers("h264")


def test_camera_counts_and_goes_on_when_payloads_are_damaged_for_a_while(
    server: RtspServer, watch: Watch, clips: Clips
) -> None:
    truth = clips.numbers("h264")
    steered = server.camera("damaged")
    camera = watch(server.url("damaged"))
    camera.wait_for_frames(5)
    steered.garbage(1.0)
    camera.wait_for(lambda: camera.dropped["decode"] > 0, "undecodable frame")
    steered.heal()
    camera.wait_for(lambda: camera.seen[-1].pixels in truth, "good frame")
    camera.wait_for_state("live")


def test_camera_that_was_away_is_live_soon_after_its_return(clips: Clips, watch: Watch) -> None:
    """Whatever the backoff has come to."""
    server = RtspServer([CameraSpec("cam", clips.paths["h264"])])
    with server:
        camera = watch(server.url("cam"), backoff={"first_s": 60.0, "most_s": 60.0})
        camera.wait_for_frames(5)
    down = camera.wait_for_state("down")
    camera.wait_for(lambda: camera.states[-1].reason == "lost", "loss")
    away_s = time.monotonic()
    camera.wait_for(lambda: time.monotonic() - away_s > 2.0, "time")
    with server:
        back_s = time.monotonic()
        camera.wait_for_state("live", after=down)
        assert time.monotonic() - back_s < 3.0
        assert [state.state for state in camera.states[down:]] == ["down", "connecting", "live"]
        camera.worker.stop(20)


def test_camera_that_refuses_the_login_is_asked_twice_and_again_on_request(
    server: RtspServer, watch: Watch
) -> None:
    camera = watch(server.url("basic", credentials=False))
    waits = "; next try in 5 minutes; reload to try at once"
    camera.wait_for(lambda: camera.states[-1].text == NO_LOGIN + waits, "long wait")
    assert [state.text for state in camera.states if state.state == "down"] == [
        NO_LOGIN,
        NO_LOGIN + waits,
    ]
    before = len(camera.states)
    camera.worker.retry_login()
    camera.wait_for_state("connecting", after=before)
    camera.wait_for_state("down", after=before)
    assert camera.states[-1].text == NO_LOGIN + waits
    stopped_s = time.monotonic()
    assert camera.worker.stop(20)
    assert time.monotonic() - stopped_s < 1.0
