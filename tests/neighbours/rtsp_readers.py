"""Reads one RTSP stream with our own reader, or with FFmpeg through PyAV, and tells which pictures came."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import av
from av.bitstream import BitStreamFilterContext
from tests.sources.pictures import fingerprint

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.demo.rtsp.nal import split_annex_b
from framelane.sources.codecs.nal_units import NAL_SYNTAXES
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.rtsp.reactor import Reactor
from framelane.sources.rtsp.source import RtspSource
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path
    from typing import Literal

    from framelane.sources.interfaces.units import Unit

    Transport = Literal["tcp", "udp"]

_QUIET_S = 2.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it came.

    Attributes:
        number: which one of the clip it is; None if it is none of them.
        content: a digest of all of it: slices, parameter sets and whatever else came with them.
        whole: whether our reader says that nothing of it is missing; FFmpeg does not tell.
    """

    number: int | None
    content: bytes
    whole: bool = True


class Truth:
    """Which picture of a clip some coded bytes are."""

    def __init__(self, clip: Path, codec: str) -> None:
        self._codec = codec
        self._numbers: dict[bytes, int] = {}
        with av.open(str(clip)) as source:
            packets = [packet for packet in source.demux(video=0) if packet.size]
            if codec != "mjpeg":
                filtered = BitStreamFilterContext(f"{codec}_mp4toannexb", source.streams.video[0])
                packets = [each for packet in packets for each in filtered.filter(packet)]
            for number, packet in enumerate(packets):
                self._numbers[self._identity(bytes(packet))] = number

    def __len__(self) -> int:
        return len(self._numbers)

    def picture(self, data: bytes, *, whole: bool = True) -> Picture:
        """What came: H.264 and H.265 behind start codes, or a JPEG file."""
        identity = self._identity(data)
        content = identity if self._codec == "mjpeg" else _digest(split_annex_b(data))
        return Picture(self._numbers.get(identity), content, whole)

    def _identity(self, data: bytes) -> bytes:
        """A digest of the slices; of JPEG, whose headers RTP does not carry, of the pixels."""
        if self._codec == "mjpeg":
            decoder = cast("Any", av.CodecContext.create("mjpeg", "r"))
            return fingerprint(decoder.decode(av.Packet(data))[0])
        kinds = NAL_SYNTAXES["hevc" if self._codec == "hevc" else "h264"].kinds
        return _digest(nal for nal in split_annex_b(data) if kinds[nal[0]].slice)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two readers have got of the same stream, in pictures.

    Attributes:
        ours: read by our reader; what the server has sent twice in a row counts once.
        theirs: read by FFmpeg, likewise.
        unknown: of ours that are none of the clip's.
        missing: of the clip's that ours lack, between its first and its last.
        damaged: of ours that lack something.
        differing: those that are not the same, byte for byte, with both.
        lost_by_ffmpeg: as `missing`, of FFmpeg's.
    """

    ours: int
    theirs: int
    unknown: int
    missing: int
    damaged: int
    differing: int
    lost_by_ffmpeg: int

    @property
    def same(self) -> bool:
        """Whether both have the same pictures, and ours lack none."""
        return min(self.ours, self.theirs) > 0 and not (
            self.unknown or self.missing or self.damaged or self.differing
        )


def compare(truth: Truth, ours: Sequence[Picture], theirs: Sequence[Picture], *, whole: bool) -> Comparison:
    """Compare what two readers have got; `whole` says that both were sent all of the clip, once.

    What is live may be joined in the middle of a picture, so that the first one does not count.
    """
    ours, theirs = (_once(pictures)[0 if whole else 1 :] for pictures in (ours, theirs))
    contents: dict[int, set[bytes]] = {}
    for picture in theirs:
        if picture.number is not None:
            contents.setdefault(picture.number, set()).add(picture.content)
    return Comparison(
        ours=len(ours),
        theirs=len(theirs),
        unknown=sum(one.number is None for one in ours),
        missing=_missing(truth, ours, whole=whole),
        damaged=sum(not one.whole for one in ours),
        differing=sum(
            one.number in contents and one.content not in contents[one.number]
            for one in ours
            if one.number is not None
        ),
        lost_by_ffmpeg=_missing(truth, theirs, whole=whole),
    )


def _once(pictures: Sequence[Picture]) -> list[Picture]:
    """Leave out what has come before at once: aio-rtsp-toolkit now and then sends a picture twice."""
    return [one for number, one in enumerate(pictures) if not number or one != pictures[number - 1]]


def _missing(truth: Truth, pictures: Sequence[Picture], *, whole: bool) -> int:
    numbers = [one.number for one in pictures if one.number is not None]
    if whole:
        return len(set(range(len(truth))) - set(numbers)) + (numbers != sorted(numbers))
    return sum((after - before - 1) % len(truth) for before, after in pairwise(numbers))


def read_ours(
    url: str, truth: Truth, most: int, seconds: float, transport: Transport = "tcp"
) -> list[Picture]:
    """Read with our own reader until it ends, falls silent, or has so many different pictures.

    Raises:
        SourceError: it can't be opened.
        UnsupportedError: FFmpeg has to read it.
    """
    clock, units, different = SystemClock(), list[tuple[bytes, bool]](), set[bytes]()

    def put(unit: Unit) -> bool:
        units.append((bytes(unit.packet), unit.whole))
        different.add(units[-1][0])
        return True

    options = StreamOptions.model_validate({"transport": transport, "open_timeout_s": 10.0})
    reactor = Reactor(clock)
    try:
        source = RtspSource(url, options, SourceParts(clock, StreamMeter("cam")), reactor)
        source.start(put)
        _follow(source.check_end, different, most, seconds)
        reactor.remove(source._units._playing)
        source._units._playing.ended(SourceError("closed", "enough has come"))  # hands on what has been begun
        source.close()
    finally:
        reactor.stop(5.0)
    return [truth.picture(data, whole=whole) for data, whole in units]


def _follow(check_end: Callable[[], None], came: Collection[object], most: int, seconds: float) -> None:
    deadline_s, quiet_s, before = time.monotonic() + seconds, time.monotonic(), 0
    while len(came) < most and time.monotonic() < deadline_s:
        time.sleep(_LOOK_S)
        if len(came) != before:
            before, quiet_s = len(came), time.monotonic()
        elif before and time.monotonic() - quiet_s > _QUIET_S:
            return
        try:
            check_end()
        except SourceError:
            return


def read_ffmpeg(
    url: str, truth: Truth, most: int, seconds: float, transport: Transport = "tcp"
) -> list[Picture]:
    """Read with FFmpeg, its parser on, under the same conditions."""
    pictures: list[Picture] = []
    options = {"rtsp_transport": transport, "allowed_media_types": "video", "fflags": "+genpts"}
    deadline_s = time.monotonic() + seconds
    with av.open(url, options=options, timeout=(10.0, _QUIET_S)) as source:
        try:
            for packet in source.demux(video=0):
                if packet.size:
                    pictures.append(truth.picture(bytes(packet)))
                if len(set(pictures)) >= most or time.monotonic() > deadline_s:
                    break
        except av.FFmpegError:
            pass  # silent: that was all
    return pictures


def read_both(
    url: str, truth: Truth, most: int, seconds: float, transport: Transport = "tcp"
) -> tuple[list[Picture], list[Picture]]:
    """Read a stream with both at the same time: ours first, then FFmpeg's."""
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(read_ffmpeg, url, truth, most, seconds, transport)
        ours = read_ours(url, truth, most, seconds, transport)
        return ours, theirs.result()


def _digest(parts: Iterable[bytes]) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()
