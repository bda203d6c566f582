"""What an RtpReceiver hands on, kept."""

from __future__ import annotations

from framelane.sources.rtsp.fragments import NO_FRAGMENTS
from framelane.sources.rtsp.rtp import RtpReceiver
from framelane.sources.rtsp.sdp import VideoMedia

RATE = 90_000


class Taken:
    """Makes no pictures; keeps something of each payload, and "lost" between them."""

    fragments = NO_FRAGMENTS

    def __init__(self) -> None:
        self.out: list[int | str] = []
        self.receiver = RtpReceiver(VideoMedia("h264", 96, RATE, b"", None), self)

    def feed(self, payload: bytes, stamp: int, read_s: float, *, marked: bool) -> None:
        raise NotImplementedError

    def extension(self, data: bytes) -> None:
        """None of these packets has one."""

    def lost(self) -> None:
        self.out.append("lost")

    def feed_fragments(
        self, head: bytes, fragments: list[bytes], stamp: int, read_s: float, *, marked: bool
    ) -> None:
        raise AssertionError("no payload is a fragment")
