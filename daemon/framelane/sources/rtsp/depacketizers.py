"""Chooses the depacketizer for a stream's codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from framelane.sources.rtsp.jpeg_units import JpegUnits
from framelane.sources.rtsp.units import RtpUnits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.sources.rtsp.fragments import FragmentSyntax
    from framelane.sources.rtsp.rtp_unit import RtpUnit
    from framelane.sources.rtsp.sdp import Codec, VideoMedia

    Emit = Callable[[RtpUnit], None]


class Depacketizer(Protocol):
    """Builds access units from one stream's RTP packets, which arrive in sequence order."""

    @property
    def proven(self) -> bool:
        """Whether the marker bit is known to end pictures."""
        ...

    @property
    def refuted(self) -> bool:
        """Whether a marker bit was seen in the wrong place."""
        ...

    def extension(self, data: bytes) -> None:
        """Take the RTP header extension of the next packet."""
        ...

    def feed(self, payload: bytes, stamp: int, read_s: float, *, marked: bool) -> None:
        """Take a packet's payload, time stamp, monotonic time of reading and marker bit."""
        ...

    @property
    def fragments(self) -> FragmentSyntax:
        """How payloads begin that `feed_fragments` takes."""
        ...

    def feed_fragments(
        self, head: bytes, fragments: list[bytes], stamp: int, read_s: float, *, marked: bool
    ) -> None:
        """Take payloads of one time stamp that are fragments of one NAL unit.

        Args:
            head: the first fragment's header. The others' differ only in the bits for start and end.
            fragments: without headers; none is empty.
            stamp: the RTP time stamp.
            read_s: monotonic time at which the packets were read.
            marked: the RTP marker bit of the last one; the others are not marked.
        """
        ...

    def lost(self) -> None:
        """Note that packets are missing before the next one."""
        ...

    def flush(self) -> None:
        """Emit the last picture: the stream has ended."""
        ...

    def detach(self) -> None:
        """Emit nothing more, and drop references."""
        ...


def open_depacketizer(media: VideoMedia, emit: Emit, *, early: bool) -> Depacketizer:
    """Return the depacketizer for a stream's codec.

    Args:
        media: the stream.
        emit: called with each access unit as soon as it is complete.
        early: whether the marker bit may end a picture; otherwise a picture ends when the next begins.
    """
    return _MAKERS[media.codec](media, emit, early)


def _h264(media: VideoMedia, emit: Emit, early: bool) -> Depacketizer:  # noqa: FBT001 - one signature for all
    return RtpUnits("h264", emit, early=early, extradata=media.extradata)


def _hevc(media: VideoMedia, emit: Emit, early: bool) -> Depacketizer:  # noqa: FBT001
    return RtpUnits("hevc", emit, early=early, extradata=media.extradata)


def _mjpeg(media: VideoMedia, emit: Emit, early: bool) -> Depacketizer:  # noqa: FBT001
    return JpegUnits(emit, early=early, size_wh=media.size_wh)


_MAKERS: Mapping[Codec, Callable[[VideoMedia, Emit, bool], Depacketizer]] = {
    "h264": _h264,
    "hevc": _hevc,
    "mjpeg": _mjpeg,
}
