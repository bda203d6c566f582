"""A camera that answers with rubbish is down, with a reason, and is live again when it comes to its senses."""

from __future__ import annotations

import random
import struct
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.fuzz.rogue_server import Client, RogueServer
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.watched import WatchedCamera

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Behaviour = Callable[[Client], None]

CAMERA = "cam"
PATIENCE_S = 60.0
QUICK = {"open_timeout_s": 2.0, "read_timeout_s": 1.0, "backoff": {"first_s": 0.2, "most_s": 0.5}}
FLOOD_S = 0.02  # between two sends without end: FFmpeg reads an answer byte by byte, and forty of these share a machine
MOST_GROWTH_MB = 100.0  # of all of them
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=rogue\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=0\r\n"
)


def noise(seed: int) -> Behaviour:
    """Random bytes for every request."""

    def behave(client: Client) -> None:
        dice = random.Random(seed)
        while True:
            client.request()
            client.send(dice.randbytes(dice.randint(1, 4096)))

    return behave


def truncated(client: Client) -> None:
    """Half an answer, and the end."""
    client.request()
    client.send(b"RTSP/1.0 200 OK\r\nCSe")


def said(answer: str) -> Behaviour:
    """The same to every request; `{cseq}` is filled in."""

    def behave(client: Client) -> None:
        while True:
            request = client.request()
            client.send(answer.replace("{cseq}", request.cseq).encode("latin-1", "replace"))

    return behave


def dripping(client: Client) -> None:
    """A good answer, a byte now and then: each in time, and the whole never."""
    request = client.request()
    for byte in f"RTSP/1.0 200 OK\r\nCSeq: {request.cseq}\r\n".encode() + b"X: y\r\n" * 10_000:
        client.send(bytes([byte]))
        client.pause(0.1)


def endless_headers(client: Client) -> None:
    """As fast as they are taken."""
    client.request()
    client.send(b"RTSP/1.0 200 OK\r\n")
    while True:
        client.send(b"X-Header: " + b"x" * 4000 + b"\r\n")
        client.pause(FLOOD_S)


def endless_line(client: Client) -> None:
    """A header without an end."""
    client.request()
    client.send(b"RTSP/1.0 200 OK\r\nX: ")
    while True:
        client.send(b"x" * 4000)
        client.pause(FLOOD_S)


def described(sdp: str) -> Behaviour:
    """A description of this kind, and then nothing."""

    def behave(client: Client) -> None:
        client.set_up(sdp)
        client.pause(60)

    return behave


def played(send: Callable[[Client, random.Random], None], sdp: str = SDP, seed: int = 1) -> Behaviour:
    """A good start, and then this forever."""

    def behave(client: Client) -> None:
        client.set_up(sdp)
        dice = random.Random(seed)
        while True:
            send(client, dice)

    return behave


def rtp(dice: random.Random, payload: bytes) -> bytes:
    return struct.pack(">BBHII", 0x80, 96, dice.getrandbits(16), dice.getrandbits(32), 7) + payload


def random_interleaved(client: Client, dice: random.Random) -> None:
    client.packet(dice.randbytes(dice.choice([0, 1, 4, 12, 200, 1400])), dice.choice([0, 1, 2, 255]))
    client.pause(0.001)


def random_rtp(client: Client, dice: random.Random) -> None:
    client.packet(rtp(dice, dice.randbytes(dice.randint(0, 1400))))
    client.pause(0.001)


def fragments_without_end(client: Client, dice: random.Random) -> None:
    """FU-A pieces (RFC 6184 section 5.8) of one NAL unit, as large as they come."""
    client.packet(
        struct.pack(">BBHII", 0x80, 96, dice.getrandbits(16), 1, 7) + b"\x7c\x05" + b"\xff" * 60_000
    )
    client.pause(FLOOD_S)


def random_reports(client: Client, dice: random.Random) -> None:
    client.packet(
        b"\x80" + bytes([dice.choice([200, 201, 202, 204])]) + dice.randbytes(dice.randint(0, 80)), 1
    )
    client.pause(0.05)


def only_reports(client: Client, _dice: random.Random) -> None:
    """Sender reports, as of a camera whose encoder has died."""
    client.packet(struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, 3_990_000_000, 0, 0, 0, 0), 1)
    client.pause(0.2)


def half_a_packet(client: Client, _dice: random.Random) -> None:
    client.send(b"$\x00\xff\xff")
    client.pause(60)


def dripping_packets(client: Client, _dice: random.Random) -> None:
    client.send(b"$\x00\xff\xff")
    while True:
        client.send(b"\x00")
        client.pause(0.1)


BEHAVIOURS: dict[str, Behaviour] = {
    **{f"noise {seed}": noise(seed) for seed in range(8)},
    "half an answer": truncated,
    "a dripping answer": dripping,
    "headers without end": endless_headers,
    "a header without end": endless_line,
    "length of 10^20": said(
        "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Length: 100000000000000000000\r\n\r\nv=0"
    ),
    "length of 2^31 - 1": said("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Length: 2147483647\r\n\r\nv=0"),
    "length below 0": said("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Length: -1\r\n\r\nv=0"),
    "length of letters": said("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Length: abc\r\n\r\nv=0"),
    "another's answers": said("RTSP/1.0 200 OK\r\nCSeq: 99999999999\r\n\r\n"),
    "no such status": said("RTSP/1.0 -7 ???\r\nCSeq: {cseq}\r\n\r\n"),
    "HTTP": said("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"),
    "a redirect to nowhere": said(
        "RTSP/1.0 302 Moved\r\nCSeq: {cseq}\r\nLocation: rtsp://127.0.0.1:1/\r\n\r\n"
    ),
    "a redirect to a file": said(
        "RTSP/1.0 302 Moved\r\nCSeq: {cseq}\r\nLocation: file:///etc/passwd\r\n\r\n"
    ),
    "an endless challenge": said(
        'RTSP/1.0 401 No\r\nCSeq: {cseq}\r\nWWW-Authenticate: Digest realm="'
        + "r" * 8000
        + '", nonce="\r\n\r\n'
    ),
    "an empty description": described("\r\n"),
    "a description of noise": described(random.Random(1).randbytes(3000).decode("latin-1")),
    "a thousand media": described(SDP + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" * 1_000),
    "a long line": described(SDP + "a=fmtp:96 sprop-parameter-sets=" + "A" * 1_000_000 + "\r\n"),
    "clock of 0 Hz": described(SDP.replace("90000", "0")),
    "sizes beyond sense": described(SDP + "a=framesize:96 99999999-99999999\r\na=framerate:1e308\r\n"),
    "random packets": played(random_interleaved),
    "random RTP": played(random_rtp),
    "fragments without end": played(fragments_without_end),
    "random reports": played(random_reports),
    "sender reports alone": played(only_reports),
    "half a packet": played(half_a_packet),
    "dripping packets": played(dripping_packets),
}


TRICKLES = ("random reports", "sender reports alone", "dripping packets")
"""What keeps a connection alive and brings no picture."""


@dataclass
class Trial:
    """One rogue and who watches it; `misled` is how many states there were when it came to its senses."""

    server: RogueServer
    camera: WatchedCamera
    misled: int = 0

    @property
    def tried_twice(self) -> bool:
        return self.server.connections >= 2 and any(state.state == "down" for state in self.camera.states)

    def reform(self) -> None:
        self.misled = len(self.camera.states)
        self.server.reform()
        self.camera.worker.retry_login()  # as a reload does: one of them has asked for a password, and refused


@dataclass
class Trials:
    """All of them, and how much memory they took together while none was live."""

    each: dict[str, Trial]
    growth_mb: float


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """All at once: most of the time is spent in waiting for time-outs."""
    clip = draw_clip(tmp_path_factory.mktemp("rogues"), "h264", ClipShape(frames=50, fps=25))
    with ExitStack() as stack:
        working = stack.enter_context(RtspServer([CameraSpec(CAMERA, clip)]))
        before_mb = held_mb()
        trials = {}
        for name, behave in BEHAVIOURS.items():
            server = stack.enter_context(RogueServer(behave, working.port))
            trials[name] = Trial(server, WatchedCamera(server.url(CAMERA), silence_s=1.0, **QUICK))
        for trial in trials.values():
            trial.camera.worker.start()
        deadline_s = time.monotonic() + PATIENCE_S
        while not all(trial.tried_twice for trial in trials.values()) and time.monotonic() < deadline_s:
            time.sleep(0.1)
            for trial in trials.values():
                trial.camera.board.tick()
        growth_mb = held_mb() - before_mb
        for trial in trials.values():
            trial.reform()
        yield Trials(trials, growth_mb)
        for trial in trials.values():
            trial.camera.worker.stopping.set()
        for trial in trials.values():
            assert trial.camera.worker.stop(PATIENCE_S)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_camera_is_down_with_a_reason_and_comes_back(trials: Trials, name: str) -> None:
    trial = trials.each[name]
    assert trial.tried_twice, trial.camera.states
    for state in trial.camera.states:
        assert state.text
        assert state.reason not in ("", "failed")
    faults = {state.reason for state in trial.camera.states[: trial.misled] if state.state == "down"}
    assert faults == {"timeout"} if name in TRICKLES else faults
    trial.camera.wait_for_state("live", after=trial.misled)


def test_memory_is_bounded(trials: Trials) -> None:
    assert trials.growth_mb < MOST_GROWTH_MB


def held_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6
