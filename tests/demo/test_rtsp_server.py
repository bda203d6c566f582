from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from av.error import HTTPNotFoundError, HTTPUnauthorizedError
from tests.neighbours.clips import ENCODERS, ClipShape, decode_file, draw_clip
from tests.neighbours.mosquitto import make_certificates
from tests.neighbours.talker import Talker
from tests.neighbours.viewer import FAST, Viewer

from framelane.demo.rtsp import CameraSpec, ClipError, RtspServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.neighbours.viewer import Seen

ROOT = Path(__file__).resolve().parents[2]
FAST_SHAPE = ClipShape(frames=30, fps=100)  # a whole loop in 0.3 s
HEAVY_SHAPE = ClipShape(width=1280, height=720, frames=5, fps=100)
SLOW_SHAPE = ClipShape(width=192, height=128, frames=50, fps=25)  # key frames at 0 and 1 s


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    drawn = {kind: draw_clip(folder, kind, FAST_SHAPE) for kind in ENCODERS}
    return {
        **drawn,
        "slow": draw_clip(folder, "h264", SLOW_SHAPE),
        "heavy": draw_clip(folder, "mjpeg", HEAVY_SHAPE),
    }


@pytest.fixture
def server(clips: dict[str, Path]) -> Iterator[RtspServer]:
    with RtspServer([CameraSpec(name, clips["h264"]) for name in ("cam1", "cam2")]) as running:
        yield running


def numbers(seen: list[Seen], clip: Path) -> list[int | None]:
    """Which frame of the clip each one is, pixel for pixel."""
    known = {pixels.tobytes(): number for number, pixels in enumerate(decode_file(clip))}
    return [known.get(frame.pixels.tobytes()) for frame in seen]


def successive(found: list[int | None], frames: int) -> list[int]:
    assert found
    assert found[0] is not None, "the first frame is no frame of the clip"
    return [(found[0] + step) % frames for step in range(len(found))]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_server_delivers_the_exact_frames_when_the_clip_loops(
    clips: dict[str, Path], kind: str, transport: str
) -> None:
    spec = CameraSpec("cam", clips[kind], start_at_keyframe=True)
    with RtspServer([spec]) as server, Viewer(server.url("cam"), transport) as viewer:
        assert viewer.wait_for(36), viewer.error
        seen = viewer.frames
    found = numbers(seen, clips[kind])
    assert successive(found, FAST_SHAPE.frames) == found
    times = [frame.pts_s for frame in seen]
    assert sorted(set(times)) == times


@pytest.mark.parametrize("sprop", [True, False], ids=["sdp", "in-band-only"])
@pytest.mark.parametrize("kind", ["h264", "hevc"])
def test_client_knows_the_size_when_parameter_sets_come(
    clips: dict[str, Path],
    kind: str,
    sprop: bool,  # noqa: FBT001
) -> None:
    spec = CameraSpec("cam", clips[kind], sprop=sprop, in_band=not sprop)
    with RtspServer([spec]) as server, Viewer(server.url("cam")) as viewer:
        assert viewer.wait_for(3), viewer.error
        assert viewer.frames[0].pixels.shape == (360, 320)


@pytest.mark.parametrize("auth", ["basic", "digest"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_server_lets_a_client_in_when_the_password_is_right(
    clips: dict[str, Path], auth: str, transport: str
) -> None:
    password = "p:w" if auth == "basic" else 'p@:/"%w'
    spec = CameraSpec("cam", clips["mjpeg"], username="us er", password=password, auth=auth)  # type: ignore[arg-type]
    with RtspServer([spec]) as server, Viewer(server.url("cam"), transport) as viewer:
        assert viewer.wait_for(1), viewer.error


@pytest.mark.parametrize("auth", ["basic", "digest"])
@pytest.mark.parametrize("password", ["wrong", None])
def test_server_answers_401_when_the_password_is_not_right(
    clips: dict[str, Path], auth: str, password: str | None
) -> None:
    spec = CameraSpec("cam", clips["h264"], username="user", password="right", auth=auth)  # type: ignore[arg-type]
    with RtspServer([spec]) as server:
        url = server.url("cam", credentials=False)
        if password is not None:
            url = url.replace("rtsp://", f"rtsp://user:{password}@")
        with pytest.raises(HTTPUnauthorizedError):
            av.open(url, options=FAST, timeout=(5, 5))


def test_server_answers_404_when_the_path_is_unknown(server: RtspServer) -> None:
    with pytest.raises(HTTPNotFoundError):
        av.open(server.url("cam9"), options=FAST, timeout=(5, 5))


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("OPTIONS", "CSeq: 1\r\n", 200),
        ("OPTIONS", "", 400),
        ("DESCRIBE", "CSeq: 1\r\nRequire: teleport\r\n", 551),
        ("RECORD", "CSeq: 1\r\n", 501),
        ("PLAY", "CSeq: 1\r\n", 455),
        ("PLAY", "CSeq: 1\r\nSession: 123\r\n", 454),
        ("TEARDOWN", "CSeq: 1\r\n", 454),
        ("GET_PARAMETER", "CSeq: 1\r\nSession: 123\r\n", 454),
        ("SETUP", "CSeq: 1\r\nTransport: RTP/AVP;multicast\r\n", 461),
        ("SETUP", "CSeq: 1\r\nTransport: RTP/AVP;unicast;client_port=x\r\n", 461),
    ],
)
def test_server_answers_with_the_status_when_a_request_is_out_of_place(
    server: RtspServer, method: str, headers: str, status: int
) -> None:
    with Talker(server) as talker:
        assert talker.status(method, headers=headers) == status


def test_server_answers_505_when_the_version_is_not_1_0(server: RtspServer) -> None:
    with Talker(server) as talker:
        assert talker.status("OPTIONS", version="RTSP/2.0") == 505


def test_server_answers_459_when_a_second_track_is_set_up(server: RtspServer) -> None:
    with Talker(server) as talker:
        assert talker.set_up()
        assert talker.status("SETUP", headers="CSeq: 2\r\nTransport: RTP/AVP/TCP;interleaved=2-3\r\n") == 459


@pytest.mark.parametrize("junk", [b"\x00\xff\x13" * 8000, b"HELLO\r\n\r\n", b"\x80\r\n\r\n"])
def test_server_hangs_up_when_a_client_talks_nonsense(server: RtspServer, junk: bytes) -> None:
    with Talker(server) as talker:
        talker.send(junk)
        assert talker.is_cut()
    with Talker(server) as another:
        assert another.status("OPTIONS") == 200


def test_server_skips_interleaved_packets_when_a_client_reports(server: RtspServer) -> None:
    with Talker(server) as talker:
        talker.send(b"$\x01\x00\x04OPTI")
        assert talker.status("OPTIONS") == 200


def test_server_cuts_a_session_when_its_client_is_silent(clips: dict[str, Path]) -> None:
    with (
        RtspServer([CameraSpec("cam1", clips["slow"])], session_timeout_s=0.4) as server,
        Talker(server) as talker,
    ):
        session = talker.set_up()
        assert talker.status("PLAY", headers=f"CSeq: 2\r\nSession: {session}\r\n") == 200
        assert talker.is_cut()


def test_server_keeps_a_session_when_its_client_keeps_it_alive(clips: dict[str, Path]) -> None:
    with RtspServer([CameraSpec("cam", clips["slow"])], session_timeout_s=1.0) as server:
        with Viewer(server.url("cam"), "udp") as viewer:
            assert viewer.wait_for(35), viewer.error  # 1.4 s; FFmpeg sends OPTIONS or GET_PARAMETER
        assert viewer.error is None


def test_server_refuses_udp_when_it_is_left_out(clips: dict[str, Path]) -> None:
    with RtspServer([CameraSpec("cam", clips["mjpeg"])], transports=("tcp",)) as server:
        with pytest.raises(OSError, match="Protocol not supported"):
            av.open(server.url("cam"), options={**FAST, "rtsp_transport": "udp"}, timeout=(5, 5))
        with Viewer(server.url("cam")) as viewer:
            assert viewer.wait_for(1), viewer.error


def test_server_speaks_rtsps_when_it_has_a_certificate(clips: dict[str, Path], tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_cert, certificates.server_key)
    with RtspServer([CameraSpec("cam", clips["h264"])], tls=context) as server:
        assert server.url("cam").startswith("rtsps://")
        with Viewer(server.url("cam"), ca_file=str(certificates.ca), tls_verify="1") as viewer:
            assert viewer.wait_for(3), viewer.error


def test_camera_tells_the_capture_time_when_it_sends_reports(clips: dict[str, Path]) -> None:
    with RtspServer([CameraSpec("cam", clips["h264"])]) as server, Viewer(server.url("cam")) as viewer:
        assert viewer.wait_for(36), viewer.error
        seen = [frame for frame in viewer.frames if frame.captured_s is not None]
        stamped = [server.camera("cam").frame_at(frame.captured_s or 0) for frame in seen]
    assert len(seen) >= 25
    assert numbers(seen, clips["h264"]) == stamped


def test_camera_tells_its_own_time_when_its_clock_is_off(server: RtspServer) -> None:
    server.camera("cam1").set_clock(offset_s=3600)
    with Viewer(server.url("cam1")) as viewer:
        assert viewer.wait_for(3), viewer.error
        captured_s = viewer.frames[-1].captured_s
    assert captured_s is not None
    assert captured_s - time.time() == pytest.approx(3600, abs=5)


def test_camera_tells_no_time_when_it_sends_no_reports(server: RtspServer) -> None:
    server.camera("cam1").stop_reports()
    with Viewer(server.url("cam1")) as viewer:
        assert viewer.wait_for(3), viewer.error
        assert viewer.frames[-1].captured_s is None


@pytest.mark.parametrize("start_at_keyframe", [False, True])
def test_client_joins_within_a_group_of_pictures_when_the_camera_is_live(
    clips: dict[str, Path],
    start_at_keyframe: bool,  # noqa: FBT001
) -> None:
    spec = CameraSpec("cam", clips["slow"], phase_s=0.2, start_at_keyframe=start_at_keyframe)
    options = {name: value for name, value in FAST.items() if name != "fflags"}  # keep what probing reads
    with RtspServer([spec]) as server, av.open(server.url("cam"), options=options, timeout=(5, 5)) as source:
        first = next(source.demux(video=0))
        assert first.is_keyframe == start_at_keyframe


def test_clients_see_the_same_instant_when_they_watch_one_camera(clips: dict[str, Path]) -> None:
    with RtspServer([CameraSpec("cam", clips["mjpeg"])]) as server, ExitStack() as stack:
        viewers = [stack.enter_context(Viewer(server.url("cam"))) for _ in range(6)]
        assert all(viewer.wait_for(40) for viewer in viewers)
        seen = [
            {round(f.captured_s or 0, 4): f.pixels.tobytes() for f in viewer.frames} for viewer in viewers
        ]
    assert set(seen[0]) & set(seen[5])
    for instant in set(seen[0]) & set(seen[5]):
        assert seen[0][instant] == seen[5][instant]


def test_camera_goes_on_where_it_stopped_when_it_is_resumed(clips: dict[str, Path]) -> None:
    spec = CameraSpec("cam", clips["h264"], start_at_keyframe=True)
    with RtspServer([spec]) as server, Viewer(server.url("cam")) as viewer:
        assert viewer.wait_for(5), viewer.error
        server.camera("cam").pause()
        sent = server.camera("cam").stats.frames_sent
        assert not viewer.wait_for(1000, timeout_s=0.3)
        assert server.camera("cam").stats.frames_sent == sent
        stalled = len(viewer.frames)
        server.camera("cam").resume()
        assert viewer.wait_for(stalled + 20), viewer.error
        seen = viewer.frames
    found = numbers(seen, clips["h264"])
    assert successive(found, FAST_SHAPE.frames) == found
    assert max(b.pts_s - a.pts_s for a, b in pairwise(seen)) > 0.3


def test_camera_is_gone_when_it_is_killed_and_back_when_revived(
    server: RtspServer, clips: dict[str, Path]
) -> None:
    with Viewer(server.url("cam1")) as viewer, Viewer(server.url("cam2")) as other:
        assert viewer.wait_for(3), viewer.error
        assert other.wait_for(3), other.error
        server.camera("cam1").kill()
        assert viewer.ended.wait(2)
        with pytest.raises(av.InvalidDataError):
            av.open(server.url("cam1"), options=FAST, timeout=(5, 5))
        assert other.wait_for(len(other.frames) + 20), "the neighbour suffers"
    server.camera("cam1").revive(clips["slow"])
    with Viewer(server.url("cam1")) as viewer:
        assert viewer.wait_for(1), viewer.error
        assert viewer.frames[0].pixels.shape == (192, 192)  # 192x128 in planar 4:2:0


def test_camera_answers_nothing_when_it_is_silent(server: RtspServer) -> None:
    server.camera("cam1").silence()
    with pytest.raises(av.InvalidDataError):
        av.open(server.url("cam1"), options=FAST, timeout=(0.5, 0.5))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("kind", ["payload", "stream"])
def test_server_serves_on_when_a_camera_sends_garbage(server: RtspServer, kind: str, transport: str) -> None:
    with Viewer(server.url("cam1"), transport) as viewer, Viewer(server.url("cam2"), transport) as other:
        assert viewer.wait_for(3), viewer.error
        assert other.wait_for(3), other.error
        server.camera("cam1").garbage(0.5, kind)  # type: ignore[arg-type]
        assert other.wait_for(len(other.frames) + 20), "the neighbour suffers"
        server.camera("cam1").heal()
    with Viewer(server.url("cam1"), transport) as viewer:
        assert viewer.wait_for(3), viewer.error


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_camera_loses_frames_when_it_drops_packets(clips: dict[str, Path], transport: str) -> None:
    with (
        RtspServer([CameraSpec("cam", clips["mjpeg"])]) as server,
        Viewer(server.url("cam"), transport) as viewer,
    ):
        assert viewer.wait_for(3), viewer.error
        server.camera("cam").drop(0.3)
        assert viewer.wait_for(len(viewer.frames) + 10), viewer.error
        gaps = [b.pts_s - a.pts_s for a, b in pairwise(viewer.frames)]
    assert max(gaps) > 0.015  # 10 ms apart when none is lost


def test_server_drops_frames_when_a_client_does_not_read(clips: dict[str, Path]) -> None:
    with (
        RtspServer([CameraSpec("cam1", clips["heavy"])]) as server,
        Talker(server, receive_bytes=4096) as talker,
    ):
        session = talker.set_up()
        talker.send(f"PLAY {server.url('cam1')} RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n".encode())
        deadline_s = time.monotonic() + 15
        while server.camera("cam1").stats.frames_dropped == 0 and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert server.camera("cam1").stats.frames_dropped > 0


def test_server_stops_at_once_when_clients_are_connected(clips: dict[str, Path]) -> None:
    server = RtspServer([CameraSpec("cam", clips["h264"])])
    server.start()
    server.start()
    with Viewer(server.url("cam")) as viewer, Viewer(server.url("cam"), "udp") as other:
        assert viewer.wait_for(3), viewer.error
        assert other.wait_for(3), other.error
        started_s = time.monotonic()
        server.stop()
        assert time.monotonic() - started_s < 1
        assert viewer.ended.wait(2)
        assert other.ended.wait(2)
    server.stop()
    port = server.port
    with server:
        assert server.port == port


def test_server_does_not_start_when_its_port_is_taken(server: RtspServer, clips: dict[str, Path]) -> None:
    second = RtspServer([CameraSpec("cam", clips["h264"])], port=server.port)
    with pytest.raises(OSError, match="in use"):
        second.start()
    second.stop()


def test_server_does_not_start_when_a_clip_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="cannot read the clip"):
        RtspServer([CameraSpec("cam", tmp_path / "none.mp4")]).start()
    text = tmp_path / "text.mp4"
    text.write_text("no clip")
    with pytest.raises(ClipError, match="cannot read the clip"):
        RtspServer([CameraSpec("cam", text)]).start()


def test_fake_cameras_report_their_cpu_when_terminated(clips: dict[str, Path]) -> None:
    script = [sys.executable, str(ROOT / "scripts/fake_cameras.py")]
    arguments = ["--clip", str(clips["mjpeg"]), "--cameras", "3", "--port", "0", "--print-urls"]
    with subprocess.Popen([*script, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        urls = [process.stdout.readline().strip() for _ in range(3)]
        with Viewer(urls[1]) as viewer:
            assert viewer.wait_for(5), viewer.error
        process.send_signal(signal.SIGTERM)
        report = json.loads(process.stdout.read())
        assert process.wait(5) == 0
    assert [url.rpartition("/")[2] for url in urls] == ["cam00", "cam01", "cam02"]
    assert report["cpu_s"] > 0
    assert [camera["frames_sent"] > 0 for camera in report["cameras"]] == [False, True, False]


def test_pts_counts_from_the_time_at_which_play_was_answered(server: RtspServer) -> None:
    with av.open(server.url("cam1"), options=FAST) as container:
        packet = next(packet for packet in container.demux(video=0) if packet.pts is not None)
        seen_s = time.monotonic()
        assert packet.pts is not None
        assert packet.time_base is not None
        sent_s = server.camera("cam1").stats.plays_s[-1] + float(packet.pts * packet.time_base)

    assert 0 <= seen_s - sent_s < 1.0
