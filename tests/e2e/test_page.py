"""What a page gets from a daemon with real cameras, in one process and in two."""

from __future__ import annotations

import io
import json
import signal
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import cv2
import httpx
import numpy as np
import psutil
import pytest
from tests.e2e.daemon import Daemon, free_port
from tests.live.viewers import records
from tests.neighbours.clips import ClipShape, draw_clip
from tests.neighbours.silent_server import SilentServer
from tests.waiting import wait_until
from tests.web.watching import open_socket

from framelane.control.stream_probes import MOST_S
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.live.records import Kind, Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Material
    from websockets.sync.client import ClientConnection

pytestmark = pytest.mark.e2e

CAMERAS = ("plain", "b-frames", "hevc")
WAIT_S = 60.0
PASSWORD = "of-the-sub-stream"


@dataclass
class Site:
    """A running daemon, and the server of its cameras."""

    daemon: Daemon
    cameras: RtspServer
    http: str
    workers: int

    def page(self) -> ClientConnection:
        return open_socket(self.http)


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def site(
    request: pytest.FixtureRequest, material: Material, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("page")
    shape = ClipShape(320, 256, 50, 25)
    clips = {
        "plain": material.plain,
        "b-frames": draw_clip(folder, "h264-bframes", shape),
        "hevc": draw_clip(folder, "hevc", shape),
    }
    port = free_port()
    specs = [CameraSpec(name, clip) for name, clip in clips.items()]
    specs.append(
        CameraSpec("small", draw_clip(folder, "h264", ClipShape(160, 96, 50, 25)), "viewer", PASSWORD)
    )
    with RtspServer(specs) as server:
        streams: list[dict[str, Any]] = [
            {"id": name, "url": server.url(name), "backoff": {"first_s": 0.2, "most_s": 1}}
            for name in CAMERAS
        ]
        streams.append(
            {
                "id": "file",
                "url": str(material.plain),
                "loop": True,
                "track": True,
                "events": {},
                "snapshots": {"kinds": ["new"]},
            }
        )
        config = {
            "node": {"id": "gate-01", "shutdown_s": 5},
            "jsonl": {"path": str(folder / "out.jsonl")},
            "journal": {"folder": str(folder / "journal")},
            "media": {"folder": str(folder / "media")},
            "http": {"listen": f"127.0.0.1:{port}"},
            "models": {"tiny": {"path": str(material.tiny)}},
            "workers": request.param,
            "streams": streams,
        }
        with Daemon(folder, config) as daemon:
            daemon.wait_for_event("started")
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: httpx.get(f"{url}/api/status").json()["node"]["streams_live"] == 4)
            yield Site(daemon, server, url, request.param)


def watch(page: ClientConnection, channel: int, stream: str, want: str) -> None:
    page.send(json.dumps({"op": "watch", "channel": channel, "stream": stream, "want": want}))


def collect(page: ClientConnection, enough: dict[tuple[int, Kind], int]) -> dict[int, list[Record]]:
    """Records by channel, until there are this many of each kind."""
    found: dict[int, list[Record]] = {}
    counts = dict.fromkeys(enough, 0)
    while any(counts[each] < number for each, number in enough.items()):
        message = page.recv(WAIT_S)
        assert isinstance(message, bytes)
        for channel, record in records(message):
            found.setdefault(channel, []).append(record)
            if (channel, record.kind) in counts:
                counts[channel, record.kind] += 1
    return found


def test_video_plays_and_boxes_have_the_time_of_a_picture(site: Site) -> None:
    with site.page() as page:
        for channel, name in enumerate(CAMERAS):
            watch(page, channel, name, "video")
        enough = {(channel, kind): 30 for channel in range(3) for kind in (Kind.VIDEO, Kind.BOXES)}
        found = collect(page, enough)
    for each in found.values():
        video = [record for record in each if record.kind is Kind.VIDEO]
        assert video[0].key
        file = io.BytesIO(
            b"".join(record.payload[record.key and 1 + record.payload[0] :] for record in video)
        )
        with av.open(file, "r", format="mp4") as container:
            frames: list[Any] = list(container.decode(video=0))
        times = {round(record.media_s * 90_000) for record in video}
        shown = [round(float(frame.pts * frame.time_base) * 90_000) for frame in frames]
        assert (len(frames), set(shown)) == (len(video), times)
        assert shown == sorted(shown)
        since = video[0].media_s
        boxes = [record for record in each if record.kind is Kind.BOXES and record.media_s >= since]
        assert {round(record.media_s * 90_000) for record in boxes} <= times
        assert json.loads(boxes[0].payload)["size"] == [320, 256]
        assert len(json.loads(boxes[0].payload)["boxes"]) == 3


def test_stills_come_with_boxes_for_cameras_and_files(site: Site) -> None:
    with site.page() as page:
        watch(page, 1, "file", "tile")
        watch(page, 2, "plain", "large")
        found = collect(page, {(1, Kind.STILL): 2, (2, Kind.STILL): 2})
    for each in found.values():
        (length,) = struct.unpack_from("<I", each[-1].payload)
        image = cv2.imdecode(np.frombuffer(each[-1].payload[4 + length :], np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (256, 320, 3)


def test_watching_opens_no_second_session_to_the_camera(site: Site) -> None:
    with site.page() as first, site.page() as second:
        for page in (first, second):
            watch(page, 1, "plain", "video")
            watch(page, 2, "plain", "tile")
            collect(page, {(1, Kind.VIDEO): 5})
        status = httpx.get(f"{site.http}/api/status").json()
        reconnects = [stream["reconnects"] for stream in status["streams"] if stream["id"] == "plain"]
    assert (sessions(site), reconnects) == (len(CAMERAS), [0])


def test_sub_stream_that_is_set_while_a_page_watches_takes_over_and_leaves_again(site: Site) -> None:
    """In the process that has the stream, without a word of it to inference."""
    small = site.cameras.camera("small")

    def set_preview(url: str | None) -> dict[str, Any]:
        wanted = {"preview_url": url}
        reply = httpx.patch(f"{site.http}/api/streams/plain", json=wanted, timeout=WAIT_S)
        assert (reply.status_code, reply.json()["reopened"]) == (200, [])
        shown: dict[str, Any] = reply.json()["stream"]
        return shown

    with site.page() as page:
        watch(page, 1, "plain", "video")
        collect(page, {(1, Kind.VIDEO): 5})
        assert set_preview(site.cameras.url("small"))["preview_url"].startswith("rtsp://***@")
        wait_until(lambda: small.stats.clients == 1)
        found = collect(page, {(1, Kind.PREVIEW): 1, (1, Kind.BOXES): 40})[1]
        states = [json.loads(each.payload) for each in found if each.kind is Kind.PREVIEW]
        assert [each["state"] for each in states][-1] in {"connecting", "live"}
        near = [json.loads(each.payload).get("near", False) for each in found if each.kind is Kind.BOXES]
        assert near[-1] is True
        keys = [each for each in found if each.kind is Kind.VIDEO and each.key]
        size = (160).to_bytes(2, "big") + (96).to_bytes(2, "big")
        assert size in keys[-1].payload[:1000]
        previewed = [
            each["id"] for each in httpx.get(f"{site.http}/api/status").json()["streams"] if each["preview"]
        ]
        assert previewed == ["plain"]
        # A page that comes later learns the state, too.
        with site.page() as later:
            watch(later, 7, "plain", "video")
            told = collect(later, {(7, Kind.PREVIEW): 1, (7, Kind.VIDEO): 3})[7]
        assert json.loads(next(each for each in told if each.kind is Kind.PREVIEW).payload)["state"] == "live"
        assert set_preview(None)["preview_url"] is None
        wait_until(lambda: small.stats.clients == 0)
        collect(page, {(1, Kind.VIDEO): 5})
    assert PASSWORD not in site.daemon.log


def sessions(site: Site) -> int:
    """Connections of the daemon to its cameras' server."""
    process = psutil.Process(site.daemon._process.pid if site.daemon._process else 0)
    port = int(site.cameras.url("plain").rsplit(":", 1)[1].split("/")[0])
    all_of_it = [process, *process.children(recursive=True)]
    return sum(
        bool(line.raddr) and line.raddr.port == port and line.status == psutil.CONN_ESTABLISHED
        for each in all_of_it
        for line in each.net_connections("tcp")
    )


def test_video_goes_on_after_its_worker_process_was_killed(site: Site) -> None:
    if site.workers == 1:
        pytest.skip("there are no worker processes")
    assert site.daemon._process is not None
    with site.page() as page:
        watch(page, 1, "plain", "video")
        last_s = collect(page, {(1, Kind.VIDEO): 60})[1][-1].media_s
        for worker in psutil.Process(site.daemon._process.pid).children():
            worker.kill()
        # Media time begins again with the new process.
        again = False
        while not again:
            found = collect(page, {(1, Kind.VIDEO): 1})
            again = any(record.key and record.media_s < last_s for record in found[1])
        found = collect(page, {(1, Kind.VIDEO): 10, (1, Kind.BOXES): 5})
    assert found


def test_the_page_shows_the_past_and_the_stages(site: Site) -> None:
    wait_until(lambda: bool(httpx.get(f"{site.http}/api/node").json()["stages"]))
    node = httpx.get(f"{site.http}/api/node").json()
    assert {stage["name"] for stage in node["stages"]} >= {"receive", "decode", "infer", "publish"}
    past = httpx.get(f"{site.http}/api/streams/plain/history").json()
    assert "live" in {change["state"] for change in past["changes"]}
    assert httpx.get(f"{site.http}/").status_code == 200


def test_a_camera_is_looked_at_and_a_zone_counts_without_a_second_session(site: Site) -> None:
    """What the page does to add a camera and to draw a zone."""
    assert httpx.get(f"{site.http}/api/models").json()[0]["labels"][:1] == ["person"]
    url = site.cameras.url("plain")
    found = httpx.post(f"{site.http}/api/probe", json={"url": url}, timeout=WAIT_S).json()
    assert (found["reason"], found["video"]["width"], found["video"]["codec"]) == ("ok", 320, "h264")
    wait_until(lambda: sessions(site) == len(CAMERAS))
    everywhere = {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "anchor": "center"}
    wanted = {"track": True, "zones": {"everywhere": everywhere}}
    reply = httpx.patch(f"{site.http}/api/streams/plain", json=wanted, timeout=WAIT_S).json()
    assert (reply["changed"], reply["reopened"]) == (["plain"], [])

    def counts() -> list[dict[str, Any]]:
        streams = httpx.get(f"{site.http}/api/rules").json()["streams"]
        found: list[dict[str, Any]] = streams["plain"]["zones"]["everywhere"]["counts"]
        return found

    wait_until(lambda: any(each["count"] for each in counts()))


def test_a_probe_ends_with_its_request(site: Site) -> None:
    """As "Stop" on the page closes it: the next one need not wait until it would give up."""
    with SilentServer() as silent:
        for number in range(2):
            began_s = time.monotonic()
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(
                    f"{site.http}/api/probe",
                    json={"url": silent.url},
                    timeout=httpx.Timeout(WAIT_S, read=0.5),
                )
            silent.wait_for_end(number)
            assert time.monotonic() - began_s < 0.5 * MOST_S


@pytest.mark.parametrize("reader", ["native", "ffmpeg"])
def test_a_probe_in_progress_does_not_hold_up_the_end(
    material: Material, tmp_path: Path, reader: str
) -> None:
    port = free_port()
    config = {
        "node": {"id": "gate-01", "shutdown_s": 5},
        "jsonl": {"path": str(tmp_path / "out.jsonl")},
        "http": {"listen": f"127.0.0.1:{port}"},
        "models": {"tiny": {"path": str(material.tiny)}},
        "streams": [],
    }
    with SilentServer() as silent, Daemon(tmp_path, config) as daemon, ThreadPoolExecutor(1) as pool:
        daemon.wait_for_event("started")
        asked = {"url": silent.url, "reader": reader}
        reply = pool.submit(httpx.post, f"http://127.0.0.1:{port}/api/probe", json=asked, timeout=WAIT_S)
        wait_until(lambda: silent.connections == 1)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait(15.0) == 0
        with suppress(httpx.HTTPError):
            reply.result()


def test_what_has_happened_is_listed_with_snapshots_and_log(site: Site) -> None:
    def came() -> list[Any]:
        reply = httpx.get(f"{site.http}/api/events?stream=file&kind=new").json()
        return [each for each in reply["events"] if "snapshot_url" in each]

    wait_until(lambda: len(came()) >= 3)
    events = came()
    assert len({each["event"] for each in events}) == len(events)
    picture = httpx.get(events[0]["snapshot_url"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")

    def logged() -> list[str]:
        return [line["text"] for line in httpx.get(f"{site.http}/api/log").json()["lines"]]

    wait_until(lambda: any(text.startswith("stream_live") for text in logged()))
    # Only workers say which process they are; with several, they have the cameras.
    live = [text for text in logged() if text.startswith("stream_live")]
    assert all(("process=" in text) == (site.workers > 1) for text in live)

    def labels() -> set[str]:
        reply = httpx.get(f"{site.http}/api/streams/file/history").json()
        return {each["label"] for each in reply["objects"]}

    wait_until(lambda: len(labels()) == 2)
