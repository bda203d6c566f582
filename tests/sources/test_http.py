"""Motion JPEG over HTTP, as many cameras and bridges serve it: pictures without time stamps."""

from __future__ import annotations

import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from collections.abc import Iterator

FPS = 8
JPEG = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(JPEG), JPEG)


class Camera(BaseHTTPRequestHandler):
    """`/ends` closes the connection after a while, without a word, as a camera that restarts does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for _ in range(2 * FPS) if self.path == "/ends" else count():
                self.wfile.write(PART)
                time.sleep(1 / FPS)
        except OSError:
            return

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/video.mjpg"
        server.shutdown()


def test_pictures_without_times_have_those_at_which_they_come(url: str) -> None:
    """FFmpeg counts 25 a second, whatever comes: `fps: 5` would let one or two through."""
    times: list[tuple[float, float]] = []
    with ContainerSource(url, StreamOptions(), SourceParts(SystemClock(), Meters().stream("cam"))) as source:
        for decoded in source.pictures():
            assert decoded.pts_s is not None
            times.append((decoded.pts_s, time.monotonic()))
            if len(times) == 3 * FPS:
                break
    settled = times[FPS:]  # what came while FFmpeg probed is decoded at once
    by_pts, by_clock = (settled[-1][each] - settled[0][each] for each in (0, 1))
    assert by_pts == pytest.approx(by_clock, abs=0.1)
    assert by_clock > 1.0


def test_camera_that_closes_the_connection_is_lost_and_not_unreachable(url: str) -> None:
    ends = url.replace("video.mjpg", "ends")
    with ContainerSource(ends, StreamOptions(), SourceParts(SystemClock(), Meters().stream("cam"))) as source:
        pictures = source.pictures()
        next(pictures)
        with pytest.raises(SourceError) as caught:
            deque(pictures, 0)
    assert caught.value.reason == "lost"
