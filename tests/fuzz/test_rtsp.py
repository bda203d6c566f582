"""A camera that answers with rubbish is down, with a reason, and is live again when it comes to its senses."""

from __future__ import annotations

import random
import struct
from contextlib import ExitStack
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
QUICK = {"open_timeout_s": 2.0, "read_timeout_s": 1.0, "backoff": {"first_s": 0.2, "most_s": 0.5}}
MOST_GROWTH_MB = 200.0  # of some thirty cameras
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


def endless_line(client: Client) -> None:
    """A header without an end."""
    client.request()
    client.send(b"RTSP/1.0 200 OK\r\nX: ")
    while True:
        client.send(b"x" * 65_536)


def described(sdp: str, headers: str = "Content-Type: application/sdp\r\n") -> Behaviour:
    """A description of this kind, and all that follows."""

    def behave(client: Client) -> None:
        client.set_up(sdp) if headers.startswith("Content") else None
        client.pause(60)

    return behave


def played(send: Callable[[Client, random.Random], None], sdp: str = SDP, seed: int = 1) -> Behaviour:
    """A good start, and then this for ever."""

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
    "ten thousand media": described(SDP + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" * 10_000),
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


@pytest.fixture(scope="module")
def trials(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[RogueServer, WatchedCamera]]]:
    """All at once: most of the time is spent in waiting for time-outs."""
    clip = draw_clip(tmp_path_factory.mktemp("rogues"), "h264", ClipShape(frames=50, fps=25))
    with ExitStack() as stack:
        working = stack.enter_context(RtspServer([CameraSpec(CAMERA, clip)]))
        running = {}
        for name, behave in BEHAVIOURS.items():
            server = stack.enter_context(RogueServer(behave, working.port))
            running[name] = server, WatchedCamera(server.url(CAMERA), silence_s=1.0, **QUICK)
        for _, camera in running.values():
            camera.worker.start()
        yield running
        for _, camera in running.values():
            camera.worker.stopping.set()
        for _, camera in running.values():
            assert camera.worker.stop(20)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_camera_is_down_with_a_reason_and_comes_back(
    trials: dict[str, tuple[RogueServer, WatchedCamera]], name: str
) -> None:
    server, camera = trials[name]
    down = camera.first("down")
    assert down.reason not in ("", "failed")
    assert down.text
    camera.wait_for(lambda: server.connections >= 2, "second try")
    server.reform()
    fault = camera.wait_for_state("down")
    camera.wait_for_state("live", after=fault)


def test_memory_is_bounded(trials: dict[str, tuple[RogueServer, WatchedCamera]]) -> None:
    assert trials
    held_mb = psutil.Process().memory_info().rss / 1e6
    assert held_mb < 400
