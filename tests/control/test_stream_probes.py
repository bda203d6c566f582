"""Probes: what they find, what they cost while they run, and what they tell of logins."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.control.conftest import MAIN, FakeNode
from tests.neighbours.clips import ClipShape, draw_clip
from tests.neighbours.silent_server import SilentServer
from tests.sources.http.web import Answer, serving
from tests.waiting import wait_until

from framelane.config.sections.stream import StreamConfig
from framelane.config.yaml.load import check_config
from framelane.control.changes import LiveConfig
from framelane.control.stream_edits import StreamEdits
from framelane.control.stream_probes import MOST_PROBES, Probed, StreamProbes
from framelane.core.errors import BusyError, ConfigError, SourceError
from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.control.conftest import Rig

PASSWORD = "hunter2/hunter2@"
WORD = "hunter2"


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    clip = draw_clip(tmp_path_factory.mktemp("probes"), "h264", ClipShape(320, 240, 50, 25))
    with RtspServer([CameraSpec("open", clip), CameraSpec("locked", clip, "viewer", PASSWORD)]) as server:
        yield server


def stream(url: str, **options: Any) -> StreamConfig:
    return StreamConfig.model_validate({"id": "x", "url": url, **options})


def size_of(image: bytes | None) -> tuple[int, ...]:
    assert image is not None
    decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return tuple(decoded.shape)


def test_probe_tells_what_is_in_a_camera_shows_its_first_frame_and_leaves(
    rig: Rig, cameras: RtspServer
) -> None:
    before = rig.live.current
    found = rig.edits.probe({"url": cameras.url("locked")})
    assert (found.reason, found.text, found.remedy) == ("ok", "", "")
    assert found.video is not None
    told = {key: found.video[key] for key in ("codec", "width", "height", "transport", "reader")}
    assert told == {"codec": "h264", "width": 320, "height": 240, "transport": "tcp", "reader": "framelane"}
    assert found.video["measured_fps"] > 1
    assert size_of(found.image) == (240, 320, 3)
    assert (rig.live.current, rig.node.prepared, rig.node.committed) == (before, [], [])
    wait_until(lambda: [camera.clients for camera in cameras.stats] == [0, 0], "the connection stays open")


def test_large_frames_are_shown_smaller(tmp_path: Path) -> None:
    clip = draw_clip(tmp_path, "h264", ClipShape(1280, 720, 30, 25))
    found = StreamProbes().run(stream(str(clip)))
    assert found.video is not None
    assert (found.video["width"], size_of(found.image)) == (1280, (540, 960, 3))


def test_picture_that_stays_the_same_is_one_frame_and_not_waited_for() -> None:
    picture = cv2.imencode(".jpg", np.full((48, 64, 3), 120, np.uint8))[1].tobytes()

    def answer(_path: str, headers: Mapping[str, str]) -> Answer:
        if "if-none-match" in headers:
            return Answer(status=304)
        return Answer(picture, "image/jpeg", headers={"ETag": '"1"'})

    with serving(answer) as web:
        # Nothing but the first frame ends this one.
        found = StreamProbes(most_s=3600).run(stream(f"{web.url}/snap.jpg"))
    assert found.video is not None
    assert (found.reason, found.video["frames"], size_of(found.image)) == ("ok", 1, (48, 64, 3))


def test_no_login_is_told_when_the_camera_refuses_it(rig: Rig, cameras: RtspServer) -> None:
    wrong = cameras.url("locked", credentials=False).replace("//", f"//viewer:{WORD}wrong@")
    with capture_logs() as lines:
        found = rig.edits.probe({"url": wrong})
    assert (found.reason, found.video, found.image) == ("unauthorized", None, None)
    assert "user name, password" in found.remedy
    assert [(each["event"], each["reason"]) for each in lines] == [("stream_probed", "unauthorized")]
    assert WORD not in f"{found} {lines}"


@pytest.mark.parametrize("key", ["url", "ffmpeg"])
def test_no_login_is_told_when_the_camera_works_or_is_away(rig: Rig, cameras: RtspServer, key: str) -> None:
    url = cameras.url("locked") if key == "url" else f"rtsp://viewer:{WORD}%2Fx@127.0.0.1:1/1"
    options = {"url": url} if key == "url" else {"url": url, "ffmpeg": {"rtsp_flags": "prefer_tcp"}}
    with capture_logs() as lines:
        found = rig.edits.probe(options)
    assert found.reason == ("ok" if key == "url" else "refused")
    assert WORD not in f"{found.text} {found.remedy} {found.video} {lines}"


@pytest.mark.parametrize(
    ("options", "findings"),
    [
        (
            {},
            ["url: is missing; expected text"],
        ),
        ({"url": "rtsp//h"}, None),
        ({"url": "gopher://h/1"}, ["url: unsupported scheme `gopher`"]),
        ({"url": "rtsp://h/\x00"}, ["url: contains a control character"]),
        ({"url": "rtsp://h/1", "id": "../x", "fsp": 1}, ["fsp: unknown key `fsp`; did you mean `fps`?"]),
        ({"url": "rtsp://h/${HOME}"}, ["url: `${` begins a variable, which works only in files"]),
        ({"url": "rtsp://***@h/1"}, ["url: contains `***`"]),
    ],
)
def test_what_could_not_be_added_is_not_opened(
    rig: Rig, options: dict[str, Any], findings: list[str] | None
) -> None:
    if findings is None:
        # Any text may be a file's name.
        assert rig.edits.probe(options).reason == "missing"
        return
    with pytest.raises(ConfigError) as caught:
        rig.edits.probe(options)
    told = [str(each) for each in caught.value.findings]
    assert [text[: len(start)] for text, start in zip(told, findings, strict=True)] == findings


def test_files_are_opened_only_where_a_stream_may_name_them(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    main = tmp_path / "framelane.yaml"
    main.write_text(f'{MAIN}http: {{listen: "127.0.0.1:0"}}\n')
    (tmp_path / "streams.d").mkdir()
    live = LiveConfig(main, {}, check_config(main, {}))
    live.attach(FakeNode())
    live.open()
    with pytest.raises(ConfigError, match="can't be set over HTTP"):
        StreamEdits(live, None).probe({"url": "/etc/passwd"})


@pytest.mark.parametrize("reader", ["native", "ffmpeg"])
def test_probe_ends_when_nobody_waits_for_it_any_more(reader: str) -> None:
    gone = threading.Event()
    probes = StreamProbes(most=1, most_s=3600)
    with SilentServer() as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(probes.run, stream(server.url, reader=reader, open_timeout_s=3600), gone)
        wait_until(lambda: server.connections == 1)
        gone.set()
        assert running.result(60).reason == "closed"
        server.wait_for_end(0)
        wait_until(lambda: _is_free(probes))


def test_probe_may_name_the_placeholder_that_it_stands_for(rig: Rig, cameras: RtspServer) -> None:
    """The id under which a probe is checked is never one that is taken."""
    rig.edits.add({"id": "probe-0", "url": "rtsp://h/1"}, persist=False)
    assert rig.edits.probe({"url": cameras.url("open")}).reason == "ok"


def test_named_pipe_is_refused_since_opening_it_may_wait_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found = StreamProbes().run(stream(str(tmp_path / "pipe")))
    assert (found.reason, found.text) == (
        "invalid",
        "this is a named pipe, which can't be probed; name a file",
    )


def test_probes_beyond_the_limit_are_refused_and_their_turn_comes_again(cameras: RtspServer) -> None:
    probes = StreamProbes()
    with SilentServer() as server, ThreadPoolExecutor(MOST_PROBES) as pool:
        running = [pool.submit(probes.run, stream(server.url)) for _ in range(MOST_PROBES)]
        wait_until(lambda: server.connections == MOST_PROBES)
        with pytest.raises(BusyError, match="2 probes are in progress: try again") as caught:
            probes.run(stream(cameras.url("open")))
        assert caught.value.retry_s == 5
        server.close()
        assert {each.result(60).video is None for each in running} == {True}
        assert probes.run(stream(cameras.url("open"))).reason == "ok"


@pytest.mark.parametrize("reader", ["native", "ffmpeg"])
def test_probe_that_takes_too_long_is_given_up_and_its_connection_closed(reader: str) -> None:
    probes = StreamProbes(most=1, most_s=0.3)
    with SilentServer() as server:
        found = probes.run(stream(server.url, reader=reader, open_timeout_s=3600))
        assert (found.reason, found.video) == ("timeout", None)
        server.wait_for_end(0)
        # The turn comes back when the thread has ended.
        wait_until(lambda: _is_free(probes))


def _is_free(probes: StreamProbes) -> bool:
    try:
        return probes.run(stream("/nothing")).reason == "missing"
    except BusyError:
        return False


def test_remedies_name_documents_instead_of_linking_to_them() -> None:
    found = Probed.failed(SourceError("certificate", "it has expired"))
    assert found.remedy == "certificates (docs/operations.md)"
