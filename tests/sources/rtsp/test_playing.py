"""A session while it plays by UDP: what is said on its TCP connection, and each way in which it ends."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from tests.sources.rtsp.payloads import nal
from tests.sources.rtsp.scripted import SDP
from tests.waiting import wait_until

from framelane.core.clock import SystemClock
from framelane.sources.rtsp.client import Approach, open_session
from framelane.sources.rtsp.playing import Playing
from framelane.sources.rtsp.reactor import Reactor
from framelane.sources.rtsp.transport import parse_transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.core.errors import SourceError
    from framelane.sources.rtsp.rtp_unit import RtpUnit

SOURCE = 99
NO_DATA = "no data in time; the stream has stopped or the network is down"
NO_DATAGRAM = (
    "no packet has come by UDP; let the camera's through the firewall, or set the stream's `transport` to tcp"
)


class Camera:
    """Answers all requests, and says and sends what a test wants."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for sock in (self.rtp, self.rtcp):
            sock.bind(("127.0.0.1", 0))
        self.said = b""
        self.ports = (0, 0)
        self.keep_alive = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n"
        self.connection: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/cam"

    def _serve(self) -> None:
        with suppress(OSError):
            self.connection, _ = self._listener.accept()
            while data := self.connection.recv(1 << 16):
                self.said += data
                if not data.startswith(b"RTSP/"):
                    self.connection.sendall(self._answer(data.decode()))

    def _answer(self, request: str) -> bytes:
        method, _, rest = request.partition(" ")
        headers = dict(line.split(": ", 1) for line in rest.split("\r\n")[1:] if ": " in line)
        more, body = "", ""
        if method == "DESCRIBE":
            body = SDP
        elif method == "SETUP":
            first, _, second = parse_transport(headers["Transport"])[1]["client_port"].partition("-")
            self.ports = int(first), int(second)
            server = f"{self.rtp.getsockname()[1]}-{self.rtcp.getsockname()[1]}"
            more = f"Session: 7;timeout=2\r\nTransport: RTP/AVP;unicast;server_port={server}\r\n"
        elif method == "OPTIONS" and self.ports[0]:
            return self.keep_alive
        more += f"Content-Length: {len(body)}\r\n" if body else ""
        return f"RTSP/1.0 200 OK\r\nCSeq: {headers['CSeq']}\r\n{more}\r\n{body}".encode()

    def picture(self, number: int, source: int = SOURCE) -> None:
        """Of two packets, each with a slice; their sequence numbers are twice the picture's, and the next."""
        kind = "key" if number == 1 else "slice"
        for part, mark in enumerate((0, 0x80)):
            header = struct.pack(">BBHII", 0x80, 96 | mark, 2 * number + part, number * 3600, source)
            payload = nal("h264", kind, first=not part)
            self.rtp.sendto(header + payload, ("127.0.0.1", self.ports[0]))

    def goodbye(self) -> None:
        self.rtcp.sendto(struct.pack(">BBHI", 0x81, 203, 1, SOURCE), ("127.0.0.1", self.ports[1]))

    def say(self, message: bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(message)

    def close(self) -> None:
        for sock in (self._listener, self.rtp, self.rtcp, self.connection):
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()


class Rig:
    """A camera that plays, and what comes of it."""

    def __init__(self, stack: ExitStack) -> None:
        self.camera = Camera()
        stack.callback(self.camera.close)
        self._stack = stack
        self.units: list[RtpUnit] = []
        self.faults: list[SourceError] = []

    def play(self, read_timeout_s: float = 30.0) -> Rig:
        clock = SystemClock()
        reactor = Reactor(clock)
        self.session = open_session(self.camera.url, 5.0, 5.0, threading.Event(), clock, Approach("udp"))
        self._stack.callback(self.session.close)
        self.playing = Playing(
            self.session, clock, read_timeout_s, self.units.append, self.faults.append, early=True
        )
        self._stack.callback(reactor.stop, 10.0)
        self._stack.callback(reactor.remove, self.playing)
        self.playing.begin()
        reactor.add(self.playing)
        return self

    def show(self, *numbers: int) -> Rig:
        """Send pictures, and wait until all but the last of them have come."""
        before = len(self.units)
        for number in numbers:
            self.camera.picture(number)
        wait_until(lambda: len(self.units) >= before + len(numbers) - 1)
        return self

    def end(self) -> str:
        wait_until(lambda: bool(self.faults), "it goes on")
        return f"{self.faults[0].reason}: {self.faults[0]}"


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack)


def test_a_camera_that_sends_nothing_is_told_from_one_that_stops(rig: Rig) -> None:
    assert rig.play(read_timeout_s=0.8).end() == f"timeout: {NO_DATAGRAM}"


def test_silence_is_judged_by_pictures_and_not_by_answers(rig: Rig) -> None:
    """The session's connection stays busy: a keep-alive and its answer each second."""
    rig.play(read_timeout_s=1.5).show(1, 2, 3)
    assert rig.end() == f"timeout: {NO_DATA}"
    assert b"OPTIONS " in rig.camera.said.partition(b"PLAY ")[2]


def test_firewalls_are_opened_until_pictures_come(rig: Rig) -> None:
    rig.play()
    rig.camera.rtp.settimeout(5.0)
    assert [len(rig.camera.rtp.recv(100)) for _ in range(3)] == [12, 12, 12]
    rig.show(1, 2, 3)
    rig.camera.rtp.settimeout(1.2)
    with suppress(TimeoutError):
        for _ in range(3):  # one may have been on its way
            rig.camera.rtp.recv(100)
        pytest.fail("they are still opened")


def test_the_end_of_the_connection_is_the_end(rig: Rig) -> None:
    rig.play().show(1, 2, 3)
    assert rig.camera.connection is not None
    rig.camera.connection.shutdown(socket.SHUT_RDWR)
    assert rig.end() == "lost: the other side ended the stream"
    assert len(rig.units) == 3


def test_a_goodbye_is_the_end_unless_pictures_come_after_it(rig: Rig) -> None:
    rig.play().show(1, 2, 3)
    rig.camera.goodbye()
    rig.show(4, 5)
    rig.camera.goodbye()
    assert rig.end() == "lost: the camera says that its stream has ended"


def test_another_source_follows_one_that_said_goodbye(rig: Rig) -> None:
    rig.play().show(1, 2, 3)
    rig.camera.goodbye()
    wait_until(lambda: rig.playing._receiver.gone)
    for number in range(20_000, 20_003):
        rig.camera.picture(number, source=5)
    wait_until(lambda: len(rig.units) >= 5)
    assert rig.faults == []


def test_requests_are_answered_on_the_connection(rig: Rig) -> None:
    rig.play().show(1, 2)
    rig.camera.say(b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\nGET_PARAMETER * RTSP/1.0\r\nCSeq: 78\r\n\r\n")
    rig.camera.say(b"FROB * RTSP/1.0\r\nCSeq: 79\r\n\r\n")
    wait_until(lambda: b"RTSP/1.0 501 Not Implemented\r\nCSeq: 79\r\n" in rig.camera.said)
    assert b"RTSP/1.0 200 OK\r\nCSeq: 77\r\nPublic: " in rig.camera.said
    assert b"RTSP/1.0 200 OK\r\nCSeq: 78\r\n\r\n" in rig.camera.said
    assert rig.faults == []


def test_a_redirect_ends_the_stream(rig: Rig) -> None:
    rig.play().show(1, 2)
    rig.camera.say(b"REDIRECT * RTSP/1.0\r\nCSeq: 77\r\nLocation: rtsp://x/\r\n\r\n")
    assert rig.end() == "lost: the server wants the stream to be opened again, perhaps elsewhere (REDIRECT)"
    wait_until(lambda: b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n" in rig.camera.said)


def test_rubbish_on_the_connection_ends_the_stream(rig: Rig) -> None:
    rig.play().show(1, 2)
    rig.camera.say(b"\xff" * 70_000)
    assert rig.end() == "lost: the camera no longer sends RTSP on this connection"


def test_reports_tell_of_the_source_and_its_losses(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framelane.sources.rtsp.playing._REPORT_EVERY_S", 0.1)
    rig.play()
    rig.camera.rtcp.settimeout(5.0)
    found = rig.camera.rtcp.recv(200)  # to open firewalls
    assert (len(found), found[1]) == (8, 201)
    rig.show(1, 2, 3)
    rig.camera.picture(5)
    wait_until(lambda: len(rig.units) >= 4)
    while True:
        report = rig.camera.rtcp.recv(200)
        first, kind, _words, _ours = struct.unpack_from(">BBHI", report)
        assert kind == 201
        if first & 0x1F:
            source, lost, highest = struct.unpack_from(">III", report, 8)
            assert source == SOURCE
            if highest == 11:
                break
    assert lost & 0xFFFFFF == 2


def test_a_missing_packet_holds_the_next_up_for_a_moment_only(rig: Rig) -> None:
    """No more packets come after it: a timer ends the wait."""
    clock = SystemClock()
    rig.play().show(1, 2, 3)
    wait_until(lambda: len(rig.units) >= 3)
    began_s = clock.monotonic()
    rig.camera.picture(5)
    wait_until(lambda: len(rig.units) >= 4)
    assert 0.03 < clock.monotonic() - began_s < 0.4
    assert not rig.units[-1].whole


def test_the_session_is_torn_down_and_its_ports_are_freed(rig: Rig) -> None:
    rig.play().show(1, 2)
    rig.playing.detach()
    rig.session.close()
    rig.session.close()
    wait_until(lambda: b"TEARDOWN " in rig.camera.said)
    for port in rig.camera.ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(("127.0.0.1", port))
