"""Turns a clip into RTP packets once, so that playing it only rewrites headers.

FFmpeg's RTP muxer makes the packets (one write is one packet); nothing is re-encoded.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import av

from framelane.demo.rtsp.nal import PARAMETER_SET_TYPES, NalFormat, read_format

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

# Below the 1500-byte MTU with IP, UDP and tunnel headers.
PACKET_BYTES = 1400
DYNAMIC_PAYLOAD = 96
# RFC 3551 table 5.
PAYLOAD_TYPES = {"h264": DYNAMIC_PAYLOAD, "hevc": DYNAMIC_PAYLOAD, "mjpeg": 26}
CLOCK_HZ = 90_000
# "$", channel, 16-bit length: RFC 2326 10.12.
FRAMING_BYTES = 4
# RTP header without CSRC: RFC 3550 5.1.
HEADER_BYTES = 12
# Sequence, timestamp, SSRC: bytes 2 to 12 of an RTP header.
_MUTABLE = struct.Struct(">HII")


@dataclass(frozen=True, slots=True)
class FrameBlock:
    """The packets of one frame, each after its "$" framing; `offsets` are where the RTP headers start.

    Without offsets, `data` is noise rather than packets. Clients share it, so it must not change once it is
    sent.
    """

    data: bytearray
    offsets: tuple[int, ...]

    def packets(self) -> list[memoryview]:
        """Return the packets without framing; noise counts as one."""
        view = memoryview(self.data)
        if not self.offsets:
            return [view] if self.data else []
        ends = (*(offset - FRAMING_BYTES for offset in self.offsets[1:]), len(self.data))
        return [view[start:end] for start, end in zip(self.offsets, ends, strict=True)]

    def on_channel(self, channel: int) -> bytearray:
        """Return the framed packets for interleaved delivery on `channel`."""
        if channel == 0 or not self.offsets:
            return self.data
        data = bytearray(self.data)
        for offset in self.offsets:
            data[offset - 3] = channel
        return data


def frame_packets(packets: Sequence[bytes | bytearray | memoryview]) -> FrameBlock:
    """Put "$" framing on channel 0 before each packet (RFC 2326 10.12)."""
    data, offsets = bytearray(), []
    for packet in packets:
        data += struct.pack(">cBH", b"$", 0, len(packet))
        offsets.append(len(data))
        data += packet
    return FrameBlock(data, tuple(offsets))


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One frame: when it is sent, its number, and its RTP packets with "$" framing on channel 0.

    `send_s` is seconds from the clip's start. `lead_s` is capture time minus `send_s` (0, or negative if
    B-frames wait for their reference frames). `frame` counts in presentation order.
    """

    send_s: float
    lead_s: float
    frame: int
    key: bool
    framed: bytes
    offsets: tuple[int, ...]

    def stamped(self, sequence: int, timestamp_90k: int, ssrc: int) -> FrameBlock:
        """Return a copy of the framed packets whose headers have these values."""
        data = bytearray(self.framed)
        for number, offset in enumerate(self.offsets, sequence):
            _MUTABLE.pack_into(data, offset + 2, number & 0xFFFF, timestamp_90k, ssrc)
        return FrameBlock(data, self.offsets)


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as access units in sending order; `duration_s` is one loop.

    `reorders` says that frames are sent in another order than captured (B-frames).
    """

    codec: str
    size_wh: tuple[int, int]
    units: tuple[AccessUnit, ...]
    duration_s: float
    reorders: bool
    nal_format: NalFormat | None

    @property
    def payload_type(self) -> int:
        """The RTP payload type of every packet."""
        return PAYLOAD_TYPES[self.codec]


class ClipError(ValueError):
    """A file that can't be served as a camera."""


def load_clip(path: Path, *, in_band: bool = True) -> Clip:
    """Packetize the first video stream of `path`; `in_band` puts parameter sets before each key frame.

    The result is shared between calls while the file is unchanged. Raise `ClipError`.
    """
    resolved = path.resolve()
    try:
        changed_ns = resolved.stat().st_mtime_ns
    except OSError as error:
        raise ClipError(f"cannot read the clip {path}: {error.strerror}; check the path") from error
    try:
        return _load(resolved, changed_ns, in_band)
    except (av.FFmpegError, OSError) as error:
        raise ClipError(
            f"cannot read the clip {path}: {type(error).__name__}; is it a video file?"
        ) from error


@lru_cache(maxsize=64)
def _load(path: Path, _changed_ns: int, in_band: bool) -> Clip:  # noqa: FBT001 a cache key, by position
    with av.open(str(path)) as source:
        if not source.streams.video:
            raise ClipError(f"the clip {path} has no video stream; give another file")
        stream = source.streams.video[0]
        codec = stream.codec_context.name
        if codec not in PAYLOAD_TYPES:
            raise ClipError(f"the clip {path} is {codec}; only {', '.join(PAYLOAD_TYPES)} can be served")
        nal_format = None
        if codec in PARAMETER_SET_TYPES:
            nal_format = read_format(codec, bytes(stream.codec_context.extradata or b""))
        raw = _packetize(source, stream, nal_format if in_band else None)
        if not raw:
            raise ClipError(f"the clip {path} has no frames; give another file")
        size_wh = (stream.codec_context.width, stream.codec_context.height)
    units = _timed(raw)
    reorders = any(unit.lead_s < 0 for unit in units)
    return Clip(codec, size_wh, units, _loop_duration_s(units), reorders, nal_format)


@dataclass(frozen=True, slots=True)
class _RawUnit:
    pts_s: float
    dts_s: float
    key: bool
    packets: tuple[bytes, ...]


class _PacketWriter:
    """The file object that FFmpeg writes to; keeps RTP, drops RTCP."""

    def __init__(self) -> None:
        self._packets: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep one packet; RTCP packet types 192 to 223 are not media (RFC 5761 4)."""
        if not 192 <= data[1] <= 223:  # noqa: PLR2004 the range is the RFC's
            self._packets.append(bytes(data))
        return len(data)

    def take(self) -> list[bytes]:
        """Return the packets written since the last call."""
        taken, self._packets = self._packets, []
        return taken


def _packetize(source: InputContainer, stream: VideoStream, nal_format: NalFormat | None) -> list[_RawUnit]:
    writer = _PacketWriter()
    options = {"packetsize": str(PACKET_BYTES), "payload_type": str(PAYLOAD_TYPES[stream.codec_context.name])}
    units: list[_RawUnit] = []
    with av.open(writer, "w", format="rtp", options=options) as sink:
        out = sink.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            tick = Fraction(packet.time_base.numerator, packet.time_base.denominator)
            pts_s = float((packet.dts if packet.pts is None else packet.pts) * tick)
            dts_s, key = float(packet.dts * tick), packet.is_keyframe
            bare = nal_format is not None and key and not nal_format.carries_parameter_sets(bytes(packet))
            if stream.codec_context.name == "mjpeg":
                _check_jpeg(bytes(packet))
            packet.stream = out
            sink.mux(packet)
            packets = writer.take()
            if bare and nal_format is not None and packets:
                packets = _with_parameter_sets(packets, nal_format)
            units.append(_RawUnit(pts_s, dts_s, key, tuple(packets)))
    return [unit for unit in units if unit.packets]


def _check_jpeg(data: bytes) -> None:
    """Refuse what RTP can't express (restart intervals) or FFmpeg can't read back (RFC 2435 3.1)."""
    head = data[: data.find(b"\xff\xda")]
    one_table = b"\xff\xdb\x00\x43" in head and head.count(b"\xff\xdb") == 1
    if b"\xff\xdd" in head or one_table:
        raise ClipError(
            "an MJPEG clip needs two quantization tables and no restart intervals;"
            " encode it with threads=1, force_duplicated_matrix=1, huffman=default"
        )


def _with_parameter_sets(packets: list[bytes], nal_format: NalFormat) -> list[bytes]:
    """Put each parameter set into its own packet before a key frame (RFC 6184 5.6, RFC 7798 4.4.1)."""
    first = packets[0]
    header = bytes((first[0], first[1] & 0x7F)) + first[2:HEADER_BYTES]
    return [header + nal for nal in nal_format.parameter_sets] + packets


def _timed(raw: list[_RawUnit]) -> tuple[AccessUnit, ...]:
    """Place the units on one timeline, so that nothing is sent before it was captured."""
    start_s = raw[0].dts_s
    reorder_s = max(unit.pts_s - unit.dts_s for unit in raw)
    display = {id(unit): n for n, unit in enumerate(sorted(raw, key=lambda unit: unit.pts_s))}
    units = []
    for unit in raw:
        lead_s = min(0.0, round(unit.pts_s - unit.dts_s - reorder_s, 9))
        block = frame_packets(unit.packets)
        units.append(
            AccessUnit(
                unit.dts_s - start_s, lead_s, display[id(unit)], unit.key, bytes(block.data), block.offsets
            )
        )
    return tuple(units)


def _loop_duration_s(units: tuple[AccessUnit, ...]) -> float:
    if len(units) == 1:
        return 1.0
    gaps = sorted(b.send_s - a.send_s for a, b in itertools.pairwise(units))
    return units[-1].send_s + max(gaps[len(gaps) // 2], 0.001)
