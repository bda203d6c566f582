"""The handshake with a server that answers oddly."""

from __future__ import annotations

import re
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.rtsp.scripted import CLOSE, PROPER, SDP, ScriptedServer, always, answer, frame

from framelane.core.errors import SourceError
from framelane.sources.rtsp.client import Approach, UnsupportedError

if TYPE_CHECKING:
    from tests.sources.rtsp.conftest import Open
    from tests.sources.rtsp.scripted import Reply, Request

SILENT = ("timeout", "the other side accepts the connection and does not answer")
LOST = ("lost", "the other side closed the connection (Connection reset by peer)")
INVALID = (
    "invalid",
    (
        "what comes is not a stream that FFmpeg can read, or nothing comes at all "
        "(Invalid data found when processing input)"
    ),
)
NO_VIDEO = "there is no video in it, but audio; check the path in the URL"
AUDIO = "v=0\r\nm=audio 0 RTP/AVP 0\r\na=control:trackID=9\r\n"
HANG_UP: Reply = lambda _request: None  # noqa: E731 - a reply as all the others
SILENCE: Reply = lambda _request: b""  # noqa: E731 - likewise


def sends(data: bytes) -> Reply:
    return lambda _request: data


def fault(opens: Open, url: str, **options: Any) -> tuple[str, str]:
    with pytest.raises(SourceError) as caught:
        opens(url, **options)
    return caught.value.reason, str(caught.value)


def test_session_plays_when_the_server_is_proper(opens: Open) -> None:
    with ScriptedServer() as server:
        session = opens(server.url("a/b?c=1&d=2"))
        asked = [(one.method, one.uri) for one in server.requests]
        whole = server.url("a/b?c=1&d=2")
        assert asked == [
            ("OPTIONS", whole),
            ("DESCRIBE", whole),
            ("SETUP", f"{whole}/trackID=0"),
            ("PLAY", whole),
        ]
        assert [one.headers["cseq"] for one in server.requests] == ["1", "2", "3", "4"]
        assert server.requests[1].headers["accept"] == "application/sdp"
        assert server.requests[2].headers["transport"] == "RTP/AVP/TCP;unicast;interleaved=0-1"
        assert server.requests[3].headers["range"] == "npt=0.000-"
        assert server.requests[3].headers["session"] == "7"
        assert (session.media.codec, session.media.payload_type, session.media.fps) == ("h264", 96, 12.5)
        assert (session.transport.channels, session.leftover) == ((0, 1), b"")
        assert session.keep_alive_s == 10.0
        assert not session.socket.getblocking()
        assert session.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"DESCRIBE": SILENCE}, SILENT),
        ({"OPTIONS": HANG_UP}, LOST),
        ({"DESCRIBE": HANG_UP}, LOST),
        ({"PLAY": HANG_UP}, LOST),
        ({"DESCRIBE": sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")}, INVALID),
        ({"DESCRIBE": sends(b"\x00\x01\xff")}, INVALID),
        ({"DESCRIBE": sends(b"A" * 100_000)}, INVALID),
        ({"DESCRIBE": sends(b"RTSP/1.0 200 OK\r\n" + b"X-Junk: y\r\n" * 10_000)}, INVALID),
        ({"DESCRIBE": sends(b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n")}, INVALID),
        ({"DESCRIBE": sends(b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n")}, INVALID),
        ({"DESCRIBE": always()}, INVALID),
        ({"DESCRIBE": always(body=AUDIO)}, ("no-video", NO_VIDEO)),
        (
            {"DESCRIBE": always(status="401 Unauthorized")},
            (
                "unauthorized",
                "the camera asks for a user name and password, and the URL has none",
            ),
        ),
        (
            {"DESCRIBE": always(status="403 Forbidden")},
            (
                "forbidden",
                "the camera forbids this user the stream (Server returned 403 Forbidden (access denied))",
            ),
        ),
        (
            {"SETUP": always(status="404 Not Found")},
            ("not-found", "the server has no stream at this path (Server returned 404 Not Found)"),
        ),
        (
            {"SETUP": always(status="461 Unsupported Transport")},
            (
                "transport",
                (
                    "the camera doesn't speak this transport; set the stream's `transport` to the other of tcp "
                    "and udp (Protocol not supported)"
                ),
            ),
        ),
        (
            {"PLAY": always(status="454 Session Not Found")},
            (
                "rejected",
                "the server rejects the request (454 Session Not Found)",
            ),
        ),
        (
            {"PLAY": always(status="503 Service Unavailable")},
            (
                "rejected",
                "the server fails to answer the request (503 Service Unavailable)",
            ),
        ),
    ],
)
def test_session_says_what_is_wrong_when_the_server_fails(
    opens: Open, replies: dict[str, Reply], expected: tuple[str, str]
) -> None:
    with ScriptedServer(replies=replies) as server:
        assert fault(opens, server.url(), read_timeout_s=0.5) == expected


def test_session_ends_in_time_when_the_server_dribbles(opens: Open) -> None:
    over = threading.Event()

    def dribble(_request: Request) -> bytes | None:
        return b"" if over.wait(0.1) else frame(0, b"x")

    with ScriptedServer(DESCRIBE=dribble) as server:
        began_s = time.monotonic()
        assert fault(opens, server.url(), open_timeout_s=0.4) == SILENT
        assert 0.3 < time.monotonic() - began_s < 2.0
        over.set()


def test_session_waits_when_the_description_takes_long(opens: Open) -> None:
    def slow(request: Request) -> bytes | None:
        time.sleep(1.5)
        return PROPER["DESCRIBE"](request)

    with ScriptedServer(DESCRIBE=slow) as server:
        assert opens(server.url()).media.codec == "h264"


def test_session_is_closed_at_once_when_it_is_stopped_while_it_waits(opens: Open) -> None:
    stopping = threading.Event()
    with ScriptedServer(DESCRIBE=SILENCE) as server:

        def stop() -> None:
            server.wait_for("DESCRIBE")
            stopped_s.append(time.monotonic())
            stopping.set()

        stopped_s: list[float] = []
        thread = threading.Thread(target=stop)
        thread.start()
        with pytest.raises(SourceError) as caught:
            opens(server.url(), open_timeout_s=30.0, stopping=stopping)
        thread.join()
        assert caught.value.reason == "closed"
        assert time.monotonic() - stopped_s[0] < 0.3


def test_session_is_left_to_ffmpeg_when_the_codec_is_another(opens: Open) -> None:
    sdp = SDP.replace("H264/90000", "MP4V-ES/90000")
    with ScriptedServer(DESCRIBE=always(body=sdp)) as server:
        with pytest.raises(UnsupportedError, match="the video is MP4V-ES"):
            opens(server.url())
        assert server.asked("SETUP") == []


@pytest.mark.parametrize("url", ["http://h/", "rtspt://h/", "rtsp://h:port/", "rtsp:///x", "rtsp://h/x?udp"])
def test_session_is_left_to_ffmpeg_when_the_url_is_odd(opens: Open, url: str) -> None:
    with pytest.raises(UnsupportedError):
        opens(url)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 T", "308 P"])
def test_session_follows_when_the_server_redirects(opens: Open, status: str) -> None:
    with ScriptedServer() as goal:
        location = f"Location: {goal.url('there')}\r\n"
        with ScriptedServer(DESCRIBE=always(location, status=status)) as server:
            opens(server.url(login="u:p@"))
        assert goal.asked("DESCRIBE")[0].uri == goal.url("there")


def test_session_is_rejected_when_redirects_have_no_end(opens: Open) -> None:
    def to_itself(request: Request) -> bytes:
        return answer(request, f"Location: {server.url()}\r\n", status="302 Found")

    with ScriptedServer(DESCRIBE=to_itself) as server:
        assert fault(opens, server.url())[0] == "rejected"
        assert len(server.asked("DESCRIBE")) == 6


def test_session_is_left_to_ffmpeg_when_a_redirect_leaves_rtsp(opens: Open) -> None:
    moved = always("Location: http://127.0.0.1/cam\r\n", status="302 Found")
    with ScriptedServer(DESCRIBE=moved) as server, pytest.raises(UnsupportedError):
        opens(server.url())


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        ("Transport: RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=1\r\n", (2, 3)),
        ("Transport: rtp/avp/tcp;Interleaved = 4\r\n", (4, 5)),
        ("Transport: RTP/AVP/TCP;unicast\r\n", (0, 1)),
        ("", (0, 1)),
    ],
)
def test_session_takes_the_channels_that_the_server_names(
    opens: Open, transport: str, expected: tuple[int, int]
) -> None:
    with ScriptedServer(SETUP=always(f"Session: 7\r\n{transport}")) as server:
        session = opens(server.url())
        assert session.transport.channels == expected
        assert session.keep_alive_s == 30.0


def test_session_is_torn_down_when_the_server_answers_another_transport(opens: Open) -> None:
    setup = always("Session: 7\r\nTransport: RTP/AVP;unicast;client_port=1-2\r\n")
    with ScriptedServer(SETUP=setup) as server:
        assert fault(opens, server.url())[0] == "transport"
        server.wait_for("TEARDOWN")
        assert server.asked("TEARDOWN")[0].headers["session"] == "7"


def test_session_keeps_the_frames_around_the_answer_to_play(opens: Open) -> None:
    before, after = frame(0, b"before"), frame(1, b"after") + b"$\x00\x00"

    def play(request: Request) -> bytes:
        request_of_server = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        return before + request_of_server + b"\r\n" + answer(request) + after

    def setup(request: Request) -> bytes:
        return frame(5, b"early") + (PROPER["SETUP"](request) or b"")

    with ScriptedServer(PLAY=play, SETUP=setup) as server:
        assert opens(server.url()).leftover == before + after


def test_session_goes_on_when_lines_end_with_lf_and_headers_are_odd(opens: Open) -> None:
    def describe(_request: Request) -> bytes:
        sdp = SDP.replace("\r\n", "\n")
        return f"RTSP/1.0  200\ncontent-LENGTH :\t{len(sdp)}\nX-Folded: a\n  b\njunk\n\n{sdp}".encode()

    with ScriptedServer(DESCRIBE=describe) as server:
        assert opens(server.url()).media.codec == "h264"


def test_session_goes_on_when_options_fail_and_an_answer_is_provisional(opens: Open) -> None:
    def describe(request: Request) -> bytes:
        return answer(request, status="100 Continue") + (PROPER["DESCRIBE"](request) or b"")

    refused = always(status="501 Not Implemented")
    with ScriptedServer(OPTIONS=refused, DESCRIBE=describe) as server:
        assert opens(server.url()).keep_alive().startswith(b"OPTIONS ")


@pytest.mark.parametrize(
    ("headers", "control", "setup", "play"),
    [
        ("Content-Base: rtsp://x/base/\r\n", "trackID=0", "rtsp://x/base/trackID=0", "rtsp://x/base/"),
        ("Content-Base: rtsp://u:p@x/base\r\n", "trackID=0", "rtsp://x/base/trackID=0", "rtsp://x/base"),
        ("Content-Location: rtsp://x/loc\r\n", "t1", "rtsp://x/loc/t1", "rtsp://x/loc"),
        ("Content-Base: rtsp://x/base/\r\n", "rtsp://y/abs/t1", "rtsp://y/abs/t1", "rtsp://x/base/"),
        ("Content-Base: rtsp://x/base/\r\n", "*", "rtsp://x/base/", "rtsp://x/base/"),
    ],
)
def test_session_asks_for_the_right_urls_when_the_description_names_them(
    opens: Open, headers: str, control: str, setup: str, play: str
) -> None:
    sdp = SDP.replace("control:trackID=0", f"control:{control}")
    with ScriptedServer(DESCRIBE=always(headers, sdp)) as server:
        opens(server.url())
        assert [one.uri for one in server.asked("SETUP") + server.asked("PLAY")] == [setup, play]


UDP = Approach("udp")
PORTS = re.compile(r"RTP/AVP;unicast;client_port=(\d+)-(\d+)")


def test_session_offers_its_ports_when_udp_is_asked_for(opens: Open) -> None:
    with ScriptedServer(
        SETUP=always("Session: 7\r\nTransport: RTP/AVP;unicast;server_port=6000-6001\r\n")
    ) as server:
        session = opens(server.url(), approach=UDP)
        match = PORTS.fullmatch(server.asked("SETUP")[0].headers["transport"])
        assert match is not None
        assert int(match[1]) % 2 == 0
        assert int(match[2]) == int(match[1]) + 1
        assert session.transport.channels is None
        session.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(("127.0.0.1", int(match[1])))


def open_files() -> int:
    """Of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "setup",
    [
        always(status="461 Unsupported Transport"),
        always("Session: 7\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
        always("Session: 7\r\nTransport: RTP/AVP;multicast;destination=239.1.1.1;port=5000-5001\r\n"),
    ],
)
def test_session_is_not_opened_by_tcp_when_udp_is_refused(opens: Open, setup: Reply) -> None:
    before = open_files()
    with ScriptedServer(SETUP=setup) as server:
        found = fault(opens, server.url(), approach=UDP)
        assert found[0] == "transport"
        assert "set the stream's `transport` to the other of tcp and udp" in found[1]
        assert len(server.asked("SETUP")) == 1
        assert server.asked("PLAY") == []
    assert open_files() <= before


class HangingUp:
    """Asks for a login, and closes the connection then, as some cameras do."""

    def __init__(self, *, closes: str = "", fresh: bool = False, wrong: bool = False) -> None:
        self._closes, self._fresh, self._wrong = closes, fresh, wrong
        self.logins: list[str] = []
        self._given = 0

    def __call__(self, method: str) -> Reply:
        def reply(request: Request) -> bytes | None:
            login = request.headers.get("authorization", "")
            if login:
                self.logins.append(login)
            known = f'nonce="n{self._given}"' in login
            if known and not self._wrong:
                return PROPER[method](request)
            self._given += not login or self._fresh
            asks = f'WWW-Authenticate: Digest realm="x", nonce="n{self._given}"\r\n{self._closes}'
            return answer(request, asks, status="401 Unauthorized")

        return reply


def hang_up_after(reply: Reply) -> Reply:
    """Answer, and close the connection if it was a refusal."""

    def answer_and_close(request: Request) -> bytes | None:
        found = reply(request)
        return found if found is None or b" 401 " not in found else found + CLOSE

    return answer_and_close


@pytest.mark.parametrize("closes", ["", "Connection: close\r\n"])
@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE"])
def test_session_is_opened_by_another_connection_when_the_camera_hangs_up_after_it_asked_for_a_login(
    opens: Open, closes: str, method: str
) -> None:
    camera = HangingUp(closes=closes)
    with ScriptedServer(replies={method: hang_up_after(camera(method))}) as server:
        opens(server.url(login="u:p@"))
        assert len(camera.logins) == 1
        assert server.connections == 2
        assert [one.headers["cseq"] for one in server.asked(method)] == [
            "1" if method == "OPTIONS" else "2"
        ] * 2


def test_login_is_refused_when_it_is_wrong_and_the_camera_hangs_up_each_time(opens: Open) -> None:
    camera = HangingUp(wrong=True)
    with ScriptedServer(DESCRIBE=hang_up_after(camera("DESCRIBE"))) as server:
        assert fault(opens, server.url(login="u:p@"))[0] == "unauthorized"
        assert (len(camera.logins), server.connections) == (1, 2)


def test_login_is_given_up_when_the_camera_hangs_up_and_wants_another_nonce_each_time(opens: Open) -> None:
    camera = HangingUp(fresh=True, wrong=True)
    with ScriptedServer(DESCRIBE=hang_up_after(camera("DESCRIBE"))) as server:
        assert fault(opens, server.url(login="u:p@"))[0] == "unauthorized"
        assert (len(camera.logins), server.connections) == (2, 3)


def test_session_is_lost_when_the_camera_hangs_up_and_there_is_no_login(opens: Open) -> None:
    camera = HangingUp()
    with ScriptedServer(DESCRIBE=hang_up_after(camera("DESCRIBE"))) as server:
        assert fault(opens, server.url())[0] == "unauthorized"
        assert server.connections == 1


def test_session_plays_over_ipv6(opens: Open) -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        server = ScriptedServer("::1")
    except OSError:
        pytest.skip("this host has no IPv6")
    with server:
        opens(server.url())
        assert server.asked("PLAY")[0].uri == server.url()


def test_session_is_refused_when_nothing_listens(opens: Open) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        expected = ("refused", "nothing listens at this address; check host and port (Connection refused)")
        assert fault(opens, f"rtsp://u:p@127.0.0.1:{bound.getsockname()[1]}/cam") == expected


def test_session_is_unreachable_when_the_name_is_unknown(opens: Open) -> None:
    reason, text = fault(opens, "rtsp://u:mellon@no-such-host.invalid/cam")
    assert (reason, text) == (
        "unreachable",
        "the host name can't be resolved; check the URL and DNS",
    )


def test_session_keeps_alive_with_what_the_server_knows(opens: Open) -> None:
    with ScriptedServer() as server:
        session = opens(server.url())
        request = session.keep_alive()
        assert request.startswith(f"GET_PARAMETER {server.url()} RTSP/1.0\r\nCSeq: 5\r\n".encode())
        assert b"\r\nSession: 7\r\n" in request
        assert not session.take_answer(b"RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n")
        assert not session.take_answer(b"RTSP/1.0 451 Parameter Not Understood\r\nCSeq: 5\r\n\r\n")
        assert session.keep_alive().startswith(b"OPTIONS ")
        assert not session.take_answer(b"rubbish")


def test_session_is_torn_down_when_it_is_closed_twice(opens: Open) -> None:
    with ScriptedServer() as server:
        session = opens(server.url())
        session.close()
        session.close()
        server.wait_for("TEARDOWN")
        assert server.asked("TEARDOWN")[0].headers["session"] == "7"
        assert session.socket.fileno() == -1
