"""A camera that our own reader can't read is read by FFmpeg, and everybody is told so, once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import structlog
from tests.sources.rtsp import scripted
from tests.sources.rtsp.jpeg_payloads import Sender, draw
from tests.sources.rtsp.scripted import PROPER, ScriptedServer, always, answer, frame
from tests.sources.test_rtsp_jpeg import SDP, packed
from tests.sources.ticking import TickingClock

from framelane.core.errors import SourceError
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.reader_choice import NATIVE_AGAIN_S, ReaderChoice
from framelane.sources.rtsp.errors import ConfusedError, UnsupportedError
from framelane.sources.rtsp.source import RtspSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sources.conftest import Watch
    from tests.sources.rtsp.scripted import Reply, Request

    from framelane.core.stream_reasons import StreamReason

COUNT = 30
FRAMES = b"".join(frame(0, packet) for packet in packed([draw(n) for n in range(COUNT)], Sender()))
PLAYING: dict[str, Reply] = {
    **PROPER,
    "DESCRIBE": always("Content-Type: application/sdp\r\n", SDP + "a=control:trackID=0\r\n"),
    "PLAY": lambda request: answer(request, "Session: 7\r\n") + FRAMES,
}


def to_us(odd: Reply, method: str) -> dict[str, Reply]:
    """A server that answers a request of ours oddly, and FFmpeg's properly."""

    def reply(request: Request) -> bytes | None:
        ours = request.headers.get("user-agent", "").startswith("framelane")
        return (odd if ours else PLAYING[method])(request)

    return {**PLAYING, method: reply}


def fails(error: Exception) -> Callable[[], str]:
    def open_it() -> str:
        raise error

    return open_it


CONFUSED = ConfusedError("invalid", "odd")


def test_ffmpeg_opens_what_ours_does_not_read_in_the_same_attempt_and_alone_for_an_hour() -> None:
    clock = TickingClock()
    choice = ReaderChoice(clock, own=True)
    for error, why in ((UnsupportedError("VP8"), "VP8"), (CONFUSED, "its server confuses our reader: odd")):
        assert choice.open(fails(error), lambda: "ffmpeg") == "ffmpeg"
        assert choice.why == why
        clock.pass_s(NATIVE_AGAIN_S - 1)
        assert choice.open(lambda: "own", lambda: "ffmpeg") == "ffmpeg"
        clock.pass_s(2)
        assert choice.open(lambda: "own", lambda: "ffmpeg") == "own"
        assert choice.why == ""
    choice.open(fails(CONFUSED), lambda: "ffmpeg")
    choice.reconsider()
    assert choice.open(lambda: "own", lambda: "ffmpeg") == "own"


def test_ours_is_tried_again_at_once_when_ffmpeg_is_confused_too() -> None:
    choice = ReaderChoice(TickingClock(), own=True)
    with pytest.raises(SourceError, match="none"):
        choice.open(fails(CONFUSED), fails(SourceError("invalid", "none")))
    assert choice.why == ""
    assert choice.open(lambda: "own", lambda: "ffmpeg") == "own"


@pytest.mark.parametrize("reason", ["unauthorized", "timeout", "refused", "not-found", "rejected"])
def test_ffmpeg_is_not_asked_about_other_faults(reason: StreamReason) -> None:
    choice = ReaderChoice(TickingClock(), own=True)
    with pytest.raises(SourceError, match=r"^no$"):
        choice.open(fails(SourceError(reason, "no")), lambda: "ffmpeg")


def test_ffmpeg_opens_nothing_when_ours_is_to_be_alone() -> None:
    choice = ReaderChoice(TickingClock(), own=True, alone=True)
    assert choice.open(lambda: "own", lambda: "ffmpeg") == "own"
    with pytest.raises(SourceError, match="`reader: native` can't read the stream: VP8; set") as caught:
        choice.open(fails(UnsupportedError("VP8")), lambda: "ffmpeg")
    assert caught.value.reason == "reader"
    with pytest.raises(SourceError, match="odd"):
        choice.open(fails(CONFUSED), lambda: "ffmpeg")
    assert choice.open(lambda: "own", lambda: "ffmpeg") == "own"


@pytest.mark.parametrize(
    ("codec", "options", "why"),
    [
        ("VP8", {}, "the video is VP8"),
        ("H264", {"ffmpeg": {"buffer_size": "65536"}}, "the stream's `ffmpeg` section is for FFmpeg alone"),
    ],
)
def test_a_camera_that_ours_can_not_read_alone_is_down_and_says_why(
    watch: Watch, codec: str, options: dict[str, object], why: str
) -> None:
    sdp = scripted.SDP.replace("H264", codec)
    with ScriptedServer(DESCRIBE=always("Content-Type: application/sdp\r\n", sdp)) as server:
        down = watch(server.url(), reader="native", **options).first("down")
        asked = {request.headers["user-agent"].partition("/")[0] for request in server.requests}
    text = f"`reader: native` can't read the stream: {why}; set `reader` to auto to use FFmpeg"
    assert (down.reason, down.text) == ("reader", text)
    assert asked <= {"framelane"}


def test_ours_is_never_tried_when_it_is_not_wanted() -> None:
    choice = ReaderChoice(TickingClock(), own=False)
    assert choice.open(lambda: "own", lambda: "ffmpeg") == "ffmpeg"
    assert choice.why == ""


@pytest.mark.parametrize(
    ("method", "odd"),
    [
        ("OPTIONS", lambda _request: b"HTTP/1.1 200 OK\r\n\r\n"),
        ("DESCRIBE", lambda _request: b"\x16\x03\x01 what is this?\r\n\r\n"),
        ("DESCRIBE", always()),
        ("DESCRIBE", always(status="400 Bad Request")),
        ("SETUP", always("Session: 7\r\nTransport: RTP/AVP/TCP;interleaved=900-901\r\n")),
        ("SETUP", always(status="459 Aggregate Operation Not Allowed")),
        ("PLAY", always(status="454 Session Not Found")),
        ("PLAY", always(status="500 Internal Server Error")),
    ],
)
def test_a_camera_whose_server_confuses_ours_is_read_by_ffmpeg(watch: Watch, method: str, odd: Reply) -> None:
    with ScriptedServer(replies=to_us(odd, method)) as server, structlog.testing.capture_logs() as logs:
        camera = watch(server.url(), read_timeout_s=1.0, late_ms=10_000)
        camera.wait_for_frames(COUNT - 1)
        live = camera.first("live")
        camera.wait_for(lambda: "read by FFmpeg" in camera.states[-1].text or len(camera.states) > 2, "note")
        asked = len([r for r in server.asked(method) if "framelane" in r.headers["user-agent"]])
        # The server falls silent: the next connection is FFmpeg's at once, and the log does not say so again.
        camera.first("down", after=camera.states.index(live))
        camera.wait_for(lambda: len(camera.seen) >= 2 * (COUNT - 1), "frames of the next connection")
        assert type(camera.worker._read_from) in (ContainerSource, type(None))
        again = len([r for r in server.asked(method) if "framelane" in r.headers["user-agent"]])
        assert camera.worker.stop(20)
    texts = [state.text for state in camera.states if state.state == "live"]
    assert any("read by FFmpeg: its server confuses our reader" in text for text in texts)
    assert [log["event"] for log in logs].count("read_by_ffmpeg") == 1
    assert asked == again > 0


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("401 Unauthorized", "unauthorized"),
        ("403 Forbidden", "forbidden"),
        ("404 Not Found", "not-found"),
        ("453 Not Enough Bandwidth", "rejected"),
        ("461 Unsupported Transport", "transport"),
        ("503 Service Unavailable", "rejected"),
    ],
)
def test_a_camera_that_refuses_us_is_not_asked_by_ffmpeg_as_well(
    watch: Watch, status: str, reason: str
) -> None:
    method = "SETUP" if status.startswith(("4", "5")) and status[1] != "0" else "DESCRIBE"
    with ScriptedServer(replies=to_us(always(status=status), method)) as server:
        down = watch(server.url()).first("down")
        assert down.reason == reason
        assert all("framelane" in request.headers["user-agent"] for request in server.requests)


def test_a_reload_has_ours_tried_again(watch: Watch) -> None:
    confused = threading.Event()
    confused.set()

    def reply(request: Request) -> bytes | None:
        return (
            to_us(always(), "DESCRIBE")["DESCRIBE"](request)
            if confused.is_set()
            else PLAYING["DESCRIBE"](request)
        )

    with (
        ScriptedServer(replies={**PLAYING, "DESCRIBE": reply}) as server,
        structlog.testing.capture_logs() as logs,
    ):
        camera = watch(server.url(), read_timeout_s=1.0, late_ms=10_000)
        camera.wait_for_frames(COUNT - 1)
        confused.clear()
        camera.worker.retry_login()
        camera.wait_for(lambda: type(camera.worker._read_from) is RtspSource, "our own reader")
        seen = len(camera.seen)
        camera.wait_for(lambda: len(camera.seen) > seen, "its frames")
        assert "read by FFmpeg" not in camera.states[-1].text
        assert camera.worker.stop(20)
    events = [log["event"] for log in logs if log["event"].startswith("read_by")]
    assert events == ["read_by_ffmpeg", "read_by_framelane"]
