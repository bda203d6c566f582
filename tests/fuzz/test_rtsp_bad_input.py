"""Servers that do something wrong are down for a documented reason, and disturb no camera beside them."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.fuzz import bad_servers as bad
from tests.fuzz.rogue_server import RogueServer
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.watched import WatchedCamera

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz.bad_servers import Behaviour

FPS = 25
PATIENCE_S = 60.0
OPTIONS: dict[str, Any] = {
    "reader": "native",
    "open_timeout_s": 2.0,
    "read_timeout_s": 1.0,
    "backoff": {"first_s": 0.3, "most_s": 0.6},
}
MOST_GROWTH_MB = 100.0
OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
LINE = b"X-More: of the same\r\n"
BAD: dict[str, tuple[Behaviour, str]] = {
    "garbage": (bad.garbage, "invalid"),
    "a body longer than announced": (bad.longer_body, "invalid"),
    "a header of 64 kB": (bad.long_header, "invalid"),
    "100 MB of headers": (bad.flood_of(b"RTSP/1.0 200 OK\r\n", LINE), "invalid"),
    "100 MB of one header": (bad.flood_of(b"RTSP/1.0 200 OK\r\nX: ", b"x" * 64), "invalid"),
    "100 MB of garbage": (bad.flood_of(b"", b"\x00\xff"), "invalid"),
    "100 MB of a body": (
        bad.flood_of(b"RTSP/1.0 200 OK\r\nContent-Length: 104857600\r\n\r\n", b"a=x\r\n"),
        "invalid",
    ),
    "100 MB of packets before an answer": (bad.flood_of(b"", b"$\x00\x00\x04abcd"), "timeout"),
    "100 MB of headers in play": (bad.flood_in_play(b"RTSP/1.0 200 OK\r\n", LINE), "lost"),
    "100 MB of garbage in play": (bad.flood_in_play(b"", b"\x00\xff"), "lost"),
    "channels that were never set up": (bad.other_channels, "timeout"),
    "silence after PLAY": (bad.silent_play, "timeout"),
    "a wrong password": (bad.wrong_password, "unauthorized"),
    "453": (bad.refused("SETUP", "453 Not Enough Bandwidth"), "rejected"),
    "454": (bad.refused("PLAY", "454 Session Not Found"), "rejected"),
    "461": (bad.refused("SETUP", "461 Unsupported Transport"), "transport"),
    "503": (bad.refused("DESCRIBE", "503 Service Unavailable"), "rejected"),
}


@dataclass
class Trial:
    """All of them at once, beside a camera that is well.

    Attributes:
        cameras: by what their servers do.
        good: shares its reactor and decode pool with them.
        seconds: for how long the good one was watched meanwhile.
        frames: that it gave.
        longest_s: between two of them.
        growth_mb: of this process.
    """

    cameras: dict[str, WatchedCamera]
    good: WatchedCamera
    seconds: float = 0.0
    frames: int = 0
    longest_s: float = 0.0
    growth_mb: float = 0.0

    @property
    def told(self) -> bool:
        return all(any(state.state == "down" for state in camera.states) for camera in self.cameras.values())

    def watch(self) -> None:
        """Until each camera has said what is wrong, and for some seconds at least."""
        before, began_s = len(self.good.seen), time.monotonic()
        while (not self.told or time.monotonic() - began_s < 4.0) and time.monotonic() - began_s < PATIENCE_S:
            time.sleep(0.05)
            for camera in (self.good, *self.cameras.values()):
                camera.board.tick()
        self.seconds = time.monotonic() - began_s
        times = [seen.info.captured_at for seen in self.good.seen[before:]]
        self.frames = len(times)
        self.longest_s = max((after - at for at, after in pairwise(times)), default=self.seconds)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("beside"), "h264", ClipShape(frames=50, fps=FPS))


@pytest.fixture(scope="module")
def trial(clip: Path) -> Iterator[Trial]:
    with ExitStack() as stack:
        server = stack.enter_context(RtspServer([CameraSpec("good", clip)]))
        good = WatchedCamera(server.url("good"), **OPTIONS)
        good.worker.start()
        stack.callback(good.worker.stop, PATIENCE_S)
        good.wait_for_frames(10)
        before_mb = held_mb()
        cameras = {}
        for name, (behave, _) in BAD.items():
            rogue = stack.enter_context(RogueServer(behave, server.port))
            url = rogue.url("cam").replace("rtsp://", "rtsp://admin:mellon@")
            cameras[name] = WatchedCamera(url, silence_s=1.0, beside=good, **OPTIONS)
        for camera in cameras.values():
            camera.worker.start()
        found = Trial(cameras, good)
        found.watch()
        found.growth_mb = held_mb() - before_mb
        yield found
        for camera in cameras.values():
            camera.worker.stopping.set()
        for camera in cameras.values():
            assert camera.worker.stop(PATIENCE_S)


@pytest.mark.parametrize("name", BAD)
def test_camera_is_down_for_a_documented_reason(trial: Trial, name: str) -> None:
    downs = [state for state in trial.cameras[name].states if state.state == "down"]
    assert {state.reason for state in downs} == {BAD[name][1]}
    assert BAD[name][1] in documented_reasons()
    assert all(state.text and "mellon" not in state.text for state in downs)
    assert trial.cameras[name].seen == []


def test_the_camera_beside_them_keeps_its_rate(trial: Trial) -> None:
    assert trial.frames > 0.9 * FPS * trial.seconds - 2
    assert trial.longest_s < 1.0
    assert [(state.state, state.reason) for state in trial.good.states][-1] == ("live", "ok")
    assert trial.good.dropped["decode"] == 0


def test_memory_is_bounded(trial: Trial) -> None:
    assert trial.growth_mb < MOST_GROWTH_MB


def test_camera_is_live_when_answers_come_byte_by_byte(clip: Path) -> None:
    with RtspServer([CameraSpec("good", clip)]) as server, _ByBytes(server.port) as relay:
        options = {**OPTIONS, "open_timeout_s": PATIENCE_S}
        camera = WatchedCamera(f"rtsp://127.0.0.1:{relay.port}/good", **options)
        camera.worker.start()
        try:
            camera.wait_for_frames(5)
        finally:
            assert camera.worker.stop(PATIENCE_S)
        assert {state.state for state in camera.states} == {"connecting", "live"}


class _ByBytes:
    """Relays connections to a server, and sends the first bytes of what it says one at a time."""

    FIRST_BYTES = 1500

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> _ByBytes:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(PATIENCE_S)
        self._listener.close()

    def _run(self) -> None:
        """One connection, until either side ends it."""
        client, _ = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, socket.create_connection(("127.0.0.1", self._to)) as server, suppress(OSError):
            back = threading.Thread(target=_copy, args=(client, server, 0), daemon=True)
            back.start()
            _copy(server, client, self.FIRST_BYTES)
            back.join()


def _copy(source: socket.socket, sink: socket.socket, singly: int) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            for byte in data[:singly]:
                sink.sendall(bytes([byte]))
            sink.sendall(data[singly:])
            singly = max(singly - len(data), 0)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def documented_reasons() -> set[str]:
    """The first column of the table of faults."""
    rows = re.findall(r"(?m)^\| (`[^|]+) \|", OPERATIONS.read_text(encoding="utf-8"))
    return {word for row in rows for word in re.findall(r"`([a-z-]+)`", row)}


def held_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6
