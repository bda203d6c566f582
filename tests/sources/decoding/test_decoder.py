"""Which decoder a stream gets, and what becomes of a stream that NVDEC refuses."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from av import error as av_error
from tests.sources.pictures import fingerprint

from framelane.config.sections.stream import StreamOptions
from framelane.gpu.availability import why_no_nvdec
from framelane.sources.decoding.decoder import ON_CPU, DecoderChoice, StreamDecoder, choose_decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.sources.conftest import Clips

NVDEC = DecoderChoice(gpu=0)
INVALID = (av_error.InvalidDataError, 1094995529, "Invalid data found when processing input")
FORBIDDEN = (av_error.PermissionError, errno.EPERM, "Operation not permitted")
Fault = tuple[type[Exception], int, str]


@pytest.mark.parametrize(
    ("wanted", "backends", "missing", "expected"),
    [
        ("auto", {"tensorrt"}, None, DecoderChoice(gpu=3)),
        ("auto", {"tensorrt"}, "no driver", DecoderChoice(missing="no driver")),
        ("auto", {"onnxruntime"}, None, ON_CPU),
        ("auto", {"onnxruntime", "tensorrt"}, None, ON_CPU),
        ("nvdec", {"tensorrt"}, None, DecoderChoice(gpu=3)),
        ("nvdec", {"onnxruntime"}, None, DecoderChoice(gpu=3, download=True)),
        ("nvdec", {"onnxruntime", "tensorrt"}, None, DecoderChoice(gpu=3, download=True)),
        ("nvdec", {"tensorrt"}, "no driver", DecoderChoice(missing="no driver")),
        ("cpu", {"tensorrt"}, None, ON_CPU),
    ],
)
def test_decoder_follows_configuration_models_and_host(
    wanted: Any, backends: set[str], missing: str | None, expected: DecoderChoice
) -> None:
    assert choose_decoder(wanted, backends, 3, lambda: missing) == expected


@pytest.mark.parametrize(("wanted", "backends"), [("cpu", {"tensorrt"}), ("auto", {"onnxruntime"})])
def test_host_is_not_asked_for_nvdec_when_the_cpu_decodes_anyway(wanted: Any, backends: set[str]) -> None:
    def asked() -> str:
        raise AssertionError

    assert choose_decoder(wanted, backends, 0, asked) == ON_CPU


class FakeNvdec:
    """Decodes as the CPU does, in a context of its own, and fails where it is told to."""

    def __init__(self, real: Any, fails: Callable[[int], bool], fault: Fault) -> None:
        self.real = real
        self.fails = fails
        self.fault = fault
        self.units = 0
        self.thread_count = 0
        self.skip_frame = ""
        self.colorspace = self.color_range = 1
        self.flushed = 0

    def decode(self, packet: av.Packet[Any] | None = None) -> list[av.VideoFrame]:
        if packet is None:
            return [] if self.fails(self.units) else self.real.decode(None)
        self.units += 1
        if self.fails(self.units - 1):
            kind, number, text = self.fault
            raise kind(number, text, "avcodec_send_packet()")
        frames: list[av.VideoFrame] = self.real.decode(packet)
        return frames

    def flush_buffers(self) -> None:
        self.flushed += 1
        self.real.flush_buffers()


class Played:
    """A file run through a StreamDecoder whose NVDEC is a fake."""

    def __init__(
        self, path: Path, fails: Callable[[int], bool], fault: Fault = INVALID, choice: DecoderChoice = NVDEC
    ) -> None:
        self.reasons: list[str] = []
        self.pixels: list[bytes] = []
        self.damaged = 0
        with _video(path) as (container, stream), _video(path) as (_other, twin):
            self.nvdec = FakeNvdec(twin.codec_context, fails, fault)
            decoder = StreamDecoder(
                stream,
                choice,
                StreamOptions(),
                self.reasons.append,
                lambda _stream, _choice: self.nvdec,  # type: ignore[arg-type, return-value] # a fake
            )
            self.first = decoder.name
            for packet in container.demux(stream):
                frames = decoder.decode(packet if packet.size else None)
                self.damaged += frames is None
                self.pixels += map(fingerprint, frames or ())
            self.last = decoder.name


@contextmanager
def _video(path: Path) -> Iterator[tuple[Any, Any]]:
    with av.open(str(path)) as container:
        yield container, container.streams.video[0]


@pytest.mark.parametrize("kind", ["h264", "h264-bframes", "hevc", "mjpeg", "h264-10bit", "odd"])
@pytest.mark.parametrize("fault", [INVALID, FORBIDDEN])
def test_cpu_takes_over_without_losing_a_picture_when_nvdec_refuses(
    clips: Clips, kind: str, fault: Fault
) -> None:
    played = Played(clips.paths[kind], lambda _unit: True, fault)
    assert (played.first, played.last) == ("nvdec", "cpu")
    with _video(clips.paths[kind]) as (container, _stream):
        assert played.pixels == [fingerprint(frame) for frame in container.decode(video=0)]
    assert len(played.reasons) == 1
    assert played.reasons[0].startswith(
        f"NVDEC refuses it: {'h264' if kind == 'odd' else kind.partition('-')[0]}"
    )
    assert played.reasons[0].endswith(f"({fault[2]})")
    assert played.nvdec.units < 10


def test_nvdec_keeps_the_stream_when_it_works(clips: Clips) -> None:
    played = Played(clips.paths["h264"], lambda _unit: False)
    assert (played.last, played.reasons, played.damaged) == ("nvdec", [], 0)
    assert (played.nvdec.thread_count, played.nvdec.skip_frame) == (1, "DEFAULT")


def test_nvdec_keeps_the_stream_when_single_units_are_lost(clips: Clips) -> None:
    played = Played(clips.paths["mjpeg"], lambda unit: unit in (7, 8, 30))
    assert (played.last, played.damaged, len(played.pixels)) == ("nvdec", 3, 47)


def test_cpu_takes_over_when_nvdec_fails_for_long_in_mid_stream(clips: Clips) -> None:
    played = Played(clips.paths["mjpeg"], lambda unit: unit >= 10)
    assert (played.last, played.damaged) == ("cpu", 2)
    assert len(played.pixels) == 50 - 2


def test_damaged_stream_is_no_refusal(tmp_path: Path, clips: Clips) -> None:
    """Pictures that the CPU can't decode either."""
    data = bytearray(clips.paths["large-slices"].read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = np.random.default_rng(1).bytes(end - start)
    (tmp_path / "spoilt.mp4").write_bytes(data)
    played = Played(tmp_path / "spoilt.mp4", lambda _unit: True)
    assert (played.last, played.reasons, played.pixels) == ("nvdec", [], [])


def test_downloaded_picture_has_its_colours_meaning(clips: Clips) -> None:
    path = clips.paths["h264"]
    with _video(path) as (container, stream), _video(path) as (_other, twin):
        nvdec = FakeNvdec(twin.codec_context, lambda _unit: False, INVALID)
        choice = DecoderChoice(gpu=0, download=True)
        decoder = StreamDecoder(stream, choice, StreamOptions(), print, lambda *_: nvdec)  # type: ignore[arg-type]
        for packet in container.demux(stream):
            for frame in decoder.decode(packet if packet.size else None) or ():
                assert (frame.colorspace, frame.color_range) == (1, 1)


def test_flush_reaches_nvdec(clips: Clips) -> None:
    with _video(clips.paths["h264"]) as (_container, stream), _video(clips.paths["h264"]) as (_other, twin):
        nvdec = FakeNvdec(twin.codec_context, lambda _unit: False, INVALID)
        decoder = StreamDecoder(stream, NVDEC, StreamOptions(), print, lambda *_: nvdec)  # type: ignore[arg-type]
        decoder.flush()
        assert nvdec.flushed == 1


@pytest.mark.gpu
@pytest.mark.skipif(why_no_nvdec() is not None, reason="this host has no NVDEC")
@pytest.mark.parametrize(
    ("kind", "decoder"),
    [("h264", "nvdec"), ("h264-bframes", "nvdec"), ("hevc", "nvdec"), ("h264-10bit", "cpu"), ("odd", "cpu")],
)
@pytest.mark.parametrize("download", [False, True])
def test_real_nvdec_decodes_every_frame_or_leaves_it_to_the_cpu(
    clips: Clips, kind: str, decoder: str, *, download: bool
) -> None:
    counted = 0
    reasons: list[str] = []
    with _video(clips.paths[kind]) as (container, stream):
        chosen = StreamDecoder(stream, DecoderChoice(0, download=download), StreamOptions(), reasons.append)
        for packet in container.demux(stream):
            frames = chosen.decode(packet if packet.size else None)
            counted += len(frames or ())
            for frame in frames or ():
                on_gpu = decoder == "nvdec" and not download
                assert (frame.format.name == "cuda") == on_gpu
        assert (chosen.name, counted, len(reasons)) == (decoder, 50, int(decoder == "cpu"))
