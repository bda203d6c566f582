"""What RTSP servers do wrong, each as a behaviour of RogueServer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.rogue_server import Client, Request

    Behaviour = Callable[[Client], None]

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=rogue\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=0\r\n"
)
DESCRIBED = "Content-Type: application/sdp\r\n"
FLOOD_BYTES = 100 << 20
_PIECE_BYTES = 1 << 20
_REFUSED = 'WWW-Authenticate: Digest realm="cam", nonce="abc"\r\n'
_SETUP = "Session: 7;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"


def garbage(client: Client) -> None:
    """No RTSP at all, whatever is asked."""
    while True:
        client.request()
        client.send(b"\x16\x03\x01 SSH-2.0-what\r\n\x00\xff" * 40)


def longer_body(client: Client) -> None:
    """Its description is longer than Content-Length says."""
    client.answer(client.request(), "Public: DESCRIBE, SETUP, PLAY\r\n")
    request = client.request()
    client.send(
        f"RTSP/1.0 200 OK\r\nCSeq: {request.cseq}\r\n{DESCRIBED}Content-Length: {len(SDP) - 60}\r\n\r\n{SDP}".encode()
    )
    while True:
        client.answer(client.request(), _SETUP)


def long_header(client: Client) -> None:
    """One line of 64 kB."""
    client.answer(client.request(), f"Server: {'x' * (64 << 10)}\r\n")
    client.pause(60)


def flood_of(begin: bytes, piece: bytes) -> Behaviour:
    """100 MB in answer to the first request, as fast as they are taken."""

    def behave(client: Client) -> None:
        client.request()
        _flood(client, begin, piece)

    return behave


def flood_in_play(begin: bytes, piece: bytes) -> Behaviour:
    """100 MB in place of pictures."""

    def behave(client: Client) -> None:
        client.set_up(SDP)
        _flood(client, begin, piece)

    return behave


def _flood(client: Client, begin: bytes, piece: bytes) -> None:
    client.send(begin)
    block = piece * (_PIECE_BYTES // len(piece))
    for _ in range(FLOOD_BYTES // len(block)):
        client.send(block)
    client.pause(60)


def other_channels(client: Client) -> None:
    """Packets on channels that were never set up."""
    client.set_up(SDP)
    while True:
        for channel in (2, 9, 255):
            client.packet(b"\x80\x60" + bytes(98), channel)
        client.pause(0.02)


def silent_play(client: Client) -> None:
    """PLAY is answered, and that was all."""
    client.set_up(SDP)
    client.pause(60)


def wrong_password(client: Client) -> None:
    """No password is the right one."""
    while True:
        client.answer(client.request(), _REFUSED, status="401 Unauthorized")


def refused(method: str, status: str) -> Behaviour:
    """One method is answered with this status."""

    def behave(client: Client) -> None:
        while True:
            request = client.request()
            if request.method == method:
                client.answer(request, status=status)
            else:
                _proper(client, request)

    return behave


def _proper(client: Client, request: Request) -> None:
    if request.method == "DESCRIBE":
        client.answer(request, DESCRIBED, SDP)
    else:
        client.answer(request, _SETUP if request.method == "SETUP" else "Public: DESCRIBE, SETUP, PLAY\r\n")
