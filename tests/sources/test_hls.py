"""Live HLS: a playlist that grows, segments longer than the read timeout, and pictures that are shown at their pace."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import pytest
from tests.neighbours.clips import ClipShape
from tests.sources.pictures import X264, Encoding, encode, gradients

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sources.conftest import Watch

FPS, SEGMENT_S, SEGMENTS = 25, 2, 8
READY, LISTED = 3, 4
FOR_S = 6.0


class LiveHls(ThreadingHTTPServer):
    """Serves a folder's segments as a camera would that began `READY` of them ago."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began_s = time.monotonic()
        super().__init__(("127.0.0.1", 0), _Handler)

    def playlist(self) -> str:
        """What is there by now, the last few of it; no end."""
        there = min(READY + int((time.monotonic() - self.began_s) / SEGMENT_S), SEGMENTS)
        first = max(there - LISTED, 0)
        lines = [f"#EXTINF:{SEGMENT_S}.0,\n{number}.ts" for number in range(first, there)]
        head = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_S}\n#EXT-X-MEDIA-SEQUENCE:{first}"
        return "\n".join([head, *lines, ""])


class _Handler(BaseHTTPRequestHandler):
    server: LiveHls

    def do_GET(self) -> None:
        name = self.path.strip("/")
        body = (
            self.server.playlist().encode()
            if name == "live.m3u8"
            else (self.server.folder / name).read_bytes()
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    frames = gradients(ClipShape(160, 96, FPS * SEGMENT_S * SEGMENTS))
    clip = encode(tmp_path / "clip.mp4", Encoding("libx264", options=X264), frames)
    options = {
        "hls_time": str(SEGMENT_S),
        "hls_list_size": "0",
        "hls_segment_filename": str(tmp_path / "%d.ts"),
    }
    with av.open(str(clip)) as source, av.open(str(tmp_path / "all.m3u8"), "w", options=options) as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    with LiveHls(tmp_path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/live.m3u8"
        server.shutdown()


def test_pictures_of_live_hls_come_evenly_and_the_connection_stays(url: str, watch: Watch) -> None:
    """Each segment is longer than `read_timeout_s`, and comes in one piece."""
    camera = watch(url)
    camera.wait_for(lambda: len(camera.seen) >= FPS * FOR_S, "pictures")
    assert [state.state for state in camera.states if state.state == "down"] == []
    times = [seen.info.pts_s for seen in camera.seen]
    assert all(later - earlier == pytest.approx(1 / FPS, abs=0.01) for earlier, later in pairwise(times))
    arrivals = [seen.info.received_s for seen in camera.seen]
    assert arrivals[-1] - arrivals[0] == pytest.approx(times[-1] - times[0], abs=0.5)
    busiest = max(sum(start <= each < start + 1.0 for each in arrivals) for start in arrivals)
    assert busiest <= 1.5 * FPS
