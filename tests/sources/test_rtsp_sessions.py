"""What a camera sees of us while it plays and at the end, who reads what, and a fault that nobody foresaw."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.sources.odd_camera import serving
from tests.sources.watched import WatchedCamera

from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.demo.rtsp.clock import CameraClock, sender_report
from framelane.demo.rtsp.packets import load_clip
from framelane.demo.rtsp.sdp import describe
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.rtsp.source import RtspSource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.rogue_server import Client
    from tests.sources.conftest import Clips, Watch

    from framelane.sources.interfaces.units import Unit

CAMERAS_SSRC = 7
PATIENT = {"read_timeout_s": 30.0, "late_ms": 20_000.0}


class Listener:
    """Plays a few pictures to each client, then only hears what it says; `play` ends with the connection."""

    def __init__(self, clip: Path, pictures: int = 10) -> None:
        self._clip = load_clip(clip)
        self._pictures = pictures
        self._changed = threading.Condition()
        self.said = b""
        self.sent = 0

    def __call__(self, client: Client) -> None:
        client.set_up(describe(self._clip))
        self.play(client)
        with suppress(ConnectionError):
            while True:
                client._receive()
                with self._changed:
                    self.said = client._read
                    self._changed.notify_all()

    def play(self, client: Client) -> None:
        """Send a sender report, and pictures."""
        client.packet(sender_report(CameraClock(time.monotonic(), 0), CAMERAS_SSRC, 0, 0), 1)
        for number in range(self._pictures):
            unit = self._clip.units[number % len(self._clip.units)]
            packets = unit.stamped(self.sent, number * 3600, CAMERAS_SSRC).packets()
            for packet in packets:
                client.packet(bytes(packet))
            self.sent += len(packets)

    def wait_for(self, said: bytes) -> bytes:
        """All that has been said once this is in it."""
        with self._changed:
            assert self._changed.wait_for(lambda: said in self.said, 30.0), self.said
            return self.said


def test_a_session_is_kept_alive_beyond_its_timeout(clips: Clips, watch: Watch) -> None:
    spec = CameraSpec("cam", clips.paths["h264"])
    with RtspServer([spec], session_timeout_s=2.0) as server:
        camera = watch(server.url("cam"), **PATIENT)
        camera.wait_for_frames(10)
        until_s = time.monotonic() + 3 * 2.0
        camera.wait_for(lambda: camera.seen[-1].info.received_s > until_s, "pictures beyond three timeouts")
        assert [state.state for state in camera.states if state.state == "down"] == []
        assert camera.worker.stop(20)


def test_the_camera_hears_how_much_of_what_it_sends_arrives(
    clips: Clips, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framelane.sources.rtsp.playing._REPORT_EVERY_S", 0.1)
    listener = Listener(clips.paths["h264"])
    with serving(listener) as server:
        watch(server.url("cam"), **PATIENT).wait_for_frames(9)
        said = listener.wait_for(b"$\x01")
        at = said.index(b"$\x01") + 2
        (size,) = struct.unpack_from(">H", said, at)
        report = listener.wait_for(said[at : at + 2])[at + 2 : at + 2 + size]
    first, kind, words, _ours, source, lost, highest, _jitter, last_report, _delay = struct.unpack_from(
        ">BBHIIIIIII", report
    )
    assert (first, kind, words, source) == (0x81, 201, 7, CAMERAS_SSRC)
    assert (lost, highest) == (0, listener.sent - 1)
    assert last_report != 0


def test_a_session_is_torn_down_when_its_stream_is_stopped(clips: Clips, watch: Watch) -> None:
    listener = Listener(clips.paths["h264"])
    with serving(listener) as server:
        camera = watch(server.url("cam"), **PATIENT)
        camera.wait_for_frames(9)
        assert camera.worker.stop(20)
        said = listener.wait_for(b"TEARDOWN ")
    assert b"Session: 7\r\n" in said[said.index(b"TEARDOWN ") :]


class OneAtATime(Listener):
    """Looks, when a second client comes, at what the first one has said until then."""

    def __init__(self, clip: Path) -> None:
        super().__init__(clip)
        self._first: Client | None = None

    def __call__(self, client: Client) -> None:
        if self._first is None:
            self._first = client
            client.set_up(describe(self._clip))
            self.play(client)
            client.pause(60)
            return
        with suppress(BlockingIOError):
            while more := self._first._connection.recv(1 << 16, socket.MSG_DONTWAIT):
                self.said += more
        client.set_up(describe(self._clip))
        self.play(client)
        client.pause(60)


def test_a_session_is_torn_down_before_the_next_begins_when_a_stream_is_changed(
    clips: Clips, watch: Watch
) -> None:
    """Many cameras allow one session."""
    camera = OneAtATime(clips.paths["h264"])
    with serving(camera) as server:
        before = watch(server.url("cam"), **PATIENT)
        before.wait_for_frames(9)
        looks = threading.Semaphore(0)
        before.worker.wake = looks.release  # type: ignore[method-assign] # it stays, until it is stopped below
        after = WatchedCamera(server.url("cam"), read_timeout_s=30.0)
        after.worker._before = [before.worker]
        after.worker.start()
        assert all(looks.acquire(timeout=30.0) for _ in range(3))
        assert server.connections == 1
        before.worker.stopping.set()
        after.wait_for_frames(9)
        assert after.worker.stop(20)
    assert b"TEARDOWN " in camera.said


@pytest.mark.parametrize(
    ("kind", "options", "reader"),
    [
        ("h264", {}, RtspSource),
        ("hevc", {}, RtspSource),
        ("h264", {"low_latency": False}, RtspSource),
        ("mjpeg", {}, RtspSource),
        ("h264", {"transport": "udp"}, RtspSource),
        ("h264", {"transport": "udp", "reader": "ffmpeg"}, ContainerSource),
        ("h264", {"ffmpeg": {"buffer_size": "65536"}}, ContainerSource),
    ],
)
def test_ffmpeg_reads_what_is_not_read_here(
    server: RtspServer, watch: Watch, kind: str, options: dict[str, object], reader: type
) -> None:
    camera = watch(server.url(kind), **options, **PATIENT)
    camera.wait_for_frames(3)
    assert type(camera.worker._read_from) is reader


def test_a_fault_that_nobody_foresaw_ends_one_camera_and_not_another(
    server: RtspServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RtspSource._take

    def take(self: RtspSource, unit: Unit) -> bool:
        if self.info.codec == "hevc":
            raise ZeroDivisionError("by surprise")
        return real(self, unit)

    monkeypatch.setattr(RtspSource, "_take", take)
    good = watch(server.url("h264"), **PATIENT)
    good.wait_for_frames(10)
    bad = watch(server.url("hevc"), beside=good, **PATIENT)
    down = bad.first("down")
    assert (down.reason, "ZeroDivisionError" in down.text) == ("failed", True)
    bad.first("down", after=bad.states.index(down) + 1)
    good.wait_for_frames(len(good.seen) + 25)
    assert (good.states[-1].state, good.states[-1].reason) == ("live", "ok")
    assert good.dropped["late"] == good.dropped["decode"] == 0
