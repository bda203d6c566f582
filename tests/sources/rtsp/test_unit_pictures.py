"""What is put together from the packets of real encodings decodes to the same pictures, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import av
import pytest
from tests.neighbours.clips import ClipShape
from tests.sources.pictures import Encoding, encode, fingerprint, gradients
from tests.sources.rtsp.payloads import Codec, Packet, Reader, aggregate, annex_b, fragments
from tests.sources.ticking import TickingClock

from framelane.config.sections.stream import StreamOptions
from framelane.demo.rtsp.nal import split_annex_b
from framelane.demo.rtsp.packets import CLOCK_HZ, HEADER_BYTES, load_clip
from framelane.sources.decoding.decoder import ON_CPU, StreamDecoder
from framelane.sources.decoding.skip_policy import SkipPolicy
from framelane.sources.decoding.unit_queue import UnitQueue
from framelane.sources.interfaces.units import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from av.video.codeccontext import VideoCodecContext

    from framelane.sources.rtsp.rtp_unit import RtpUnit

SHAPE = ClipShape(352, 208, frames=40, fps=25)
WRAPS_SOON = (1 << 32) - 5 * 3600
H264 = {"preset": "veryfast", "threads": "1", "g": "12"}
H265 = "log-level=none:pools=1:frame-threads=1:keyint=12:min-keyint=12"
ENCODINGS: dict[str, tuple[Codec, Encoding]] = {
    "plain": ("h264", Encoding("libx264", options={**H264, "tune": "zerolatency"})),
    "slices": ("h264", Encoding("libx264", options={**H264, "bf": "0", "slices": "4", "qp": "12"})),
    "b-frames": ("h264", Encoding("libx264", options={**H264, "bf": "3", "slices": "2"})),
    "open-gop": ("h264", Encoding("libx264", options={**H264, "bf": "3", "x264-params": "open-gop=1"})),
    "refresh": ("h264", Encoding("libx264", options={**H264, "bf": "0", "x264-params": "intra-refresh=1"})),
    "hevc": (
        "hevc",
        Encoding("libx265", options={"preset": "ultrafast", "x265-params": f"{H265}:bframes=0"}),
    ),
    "hevc-open-gop": (
        "hevc",
        Encoding(
            "libx265", options={"preset": "fast", "x265-params": f"{H265}:bframes=3:open-gop=1:slices=2"}
        ),
    ),
}


class Coded(NamedTuple):
    """Video that no container holds."""

    codec_context: VideoCodecContext


@pytest.fixture(scope="module", params=ENCODINGS)
def coded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Codec, Path]:
    codec, encoding = ENCODINGS[request.param]
    return codec, encode(tmp_path_factory.mktemp("coded") / "clip.mp4", encoding, gradients(SHAPE))


def sent(path: Path) -> list[list[Packet]]:
    """The packets of each picture as FFmpeg makes them."""
    return [
        [
            Packet(
                bytes(packet[HEADER_BYTES:]),
                (WRAPS_SOON + round((unit.send_s + unit.lead_s) * CLOCK_HZ)) & 0xFFFFFFFF,
                packet[1] >= 0x80,
            )
            for packet in unit.stamped(0, 0, 0).packets()
        ]
        for unit in load_clip(path).units
    ]


def decoded(codec: Codec, units: Iterable[RtpUnit]) -> list[bytes]:
    """Fingerprints of the pictures, in the order in which they are shown."""
    decoder = cast("Any", av.CodecContext.create(codec, "r"))
    decoder.thread_count = 1
    frames = []
    for unit in units:
        packet: av.Packet[Any] = av.Packet(unit.data)
        packet.pts = unit.pts
        frames += decoder.decode(packet)
    frames += decoder.decode(None)
    assert [frame.pts for frame in frames] == sorted({unit.pts for unit in units})
    assert not any(frame.is_corrupt for frame in frames)
    return [fingerprint(frame) for frame in frames]


def of_file(path: Path) -> list[bytes]:
    with av.open(str(path)) as source:
        return [fingerprint(frame) for frame in source.decode(video=0)]


@pytest.mark.parametrize("early", [True, False])
def test_units_decode_to_the_files_own_pictures(coded: tuple[Codec, Path], early: bool) -> None:  # noqa: FBT001
    codec, path = coded
    reader, pictures = Reader(codec, early=early), sent(path)
    reader.feed(*pictures)
    reader.rtp.flush()
    assert all(reader.whole)
    assert decoded(codec, reader.units) == of_file(path)
    ends = [sum(map(len, pictures[: number + 1])) - 1 for number in range(len(pictures))]
    if early:
        assert reader.came_with[1:] == ends[1:]
    else:
        assert reader.came_with == [*(end + 1 for end in ends[:-1]), ends[-1]]


def nals_of(codec: Codec, path: Path) -> list[list[bytes]]:
    """The NAL units of each picture."""
    reader = Reader(codec)
    reader.feed(*sent(path))
    reader.rtp.flush()
    return [list(split_annex_b(unit.data)) for unit in reader.units]


def apart(codec: Codec, nals: list[bytes]) -> list[bytes]:
    """Each NAL unit whole, however large."""
    return nals


def tiny(codec: Codec, nals: list[bytes]) -> list[bytes]:
    """Everything of any size in small pieces."""
    return [piece for nal in nals for piece in (fragments(codec, nal, 90) if len(nal) > 93 else [nal])]


def together(codec: Codec, nals: list[bytes]) -> list[bytes]:
    """All of a picture in one packet, as over TCP they may be large."""
    return [aggregate(codec, nals)]


@pytest.mark.parametrize("pack", [apart, tiny, together])
@pytest.mark.parametrize("marks", ["last", "every", "none"])
def test_units_of_any_packets_decode_to_the_files_own_pictures(
    coded: tuple[Codec, Path], pack: Callable[[Codec, list[bytes]], list[bytes]], marks: str
) -> None:
    codec, path = coded
    stamps = [packets[0].stamp for packets in sent(path)]
    pictures = [pack(codec, nals) for nals in nals_of(codec, path)]
    reader = Reader(codec)
    for stamp, payloads in zip(stamps, pictures, strict=True):
        for number, payload in enumerate(payloads, 1):
            marked = marks == "every" or (marks == "last" and number == len(payloads))
            reader.feed(Packet(payload, stamp, marked))
    reader.rtp.flush()
    assert all(reader.whole)
    assert decoded(codec, reader.units) == of_file(path)


def shown(path: Path, units: Iterable[RtpUnit]) -> list[bytes]:
    """Fingerprints of what the queue has decoded, in any order."""
    clip, clock = load_clip(path), TickingClock()
    queue = UnitQueue(1.0, SkipPolicy(None), clock, lambda _why, _count: None)
    context = cast("Any", av.CodecContext.create(clip.codec, "r"))
    assert clip.nal_format is not None
    context.extradata = annex_b(*clip.nal_format.parameter_sets)
    decoder = StreamDecoder(Coded(context), ON_CPU, StreamOptions(), pytest.fail)
    frames: list[av.VideoFrame] = []
    for unit in units:
        packet: av.Packet[Any] = av.Packet(unit.data)
        packet.pts = unit.pts
        queue.put(Unit(packet, unit.key, unit.disposable, whole=unit.whole))
        for each in iter(queue.take, None):
            if each.gap:
                decoder.resume()
            frames += decoder.decode(each.packet) or []
    frames += decoder.decode(None) or []
    return [fingerprint(frame) for frame in frames]


def test_a_lost_packet_costs_pictures_and_damages_none(coded: tuple[Codec, Path]) -> None:
    codec, path = coded
    truth = of_file(path)
    packets = [packet for each in sent(path) for packet in each]
    for lost in range(1, len(packets), max(len(packets) // 20, 1)):
        reader = Reader(codec)
        reader.feed(packets[:lost], packets[lost]._replace(lost=True), packets[lost + 1 :])
        reader.rtp.flush()
        kept = shown(path, reader.units)
        assert set(kept) <= set(truth)
        # A key frame comes every 12 pictures; where it is spread over them, it takes as many again.
        assert len(kept) >= len(truth) - 2 * 12 - 4
