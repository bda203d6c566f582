"""A source that FFmpeg opens: what it says of itself, what it reads, how it ends, and that it can start again."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import av
import pytest
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.http.web import Answer, segment, serving
from tests.sources.pictures import Encoding, encode, fingerprint, gradients, numbered

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = ClipShape(64, 48, 12)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("clips"), "h264", SHAPE)


def opened(url: object, meter: StreamMeter | None = None, **options: Any) -> ContainerSource:
    parts = SourceParts(SystemClock(), meter or StreamMeter("cam"))
    return ContainerSource(str(url), StreamOptions.model_validate(options), parts)


def shown(source: ContainerSource, path: Path) -> list[int]:
    """Which frames of the file come."""
    numbers = numbered(path)
    return [numbers[fingerprint(each.picture)] for each in source.pictures()]


def test_recording_gives_each_frame_once_and_says_what_it_is(clip: Path) -> None:
    meter = StreamMeter("cam")
    with opened(clip, meter) as source:
        info = source.info
        assert (info.codec, info.width, info.height, info.fps, info.decoder) == ("h264", 64, 48, 25.0, "cpu")
        assert (source.endless, source.paced, source.kind) == (False, False, "file")
        assert shown(source, clip) == list(range(12))
        source.check_end()
    assert meter.snapshot().received == 12


@pytest.mark.parametrize("kind", ["indexed", "plain"])
def test_recording_can_be_played_again_from_its_first_frame(tmp_path: Path, clip: Path, kind: str) -> None:
    """A raw stream has no index to seek in, so it is opened again."""
    path = clip if kind == "indexed" else encode(tmp_path / "raw.h264", Encoding("libx264"), gradients(SHAPE))
    with opened(path) as source:
        first = shown(source, path)
        source.rewind()
        assert shown(source, path) == first == list(range(12))


def test_recording_that_is_gone_can_not_be_played_again(tmp_path: Path) -> None:
    path = encode(tmp_path / "raw.h264", Encoding("libx264"), gradients(SHAPE))
    with opened(path) as source:
        list(source.pictures())
        path.unlink()
        with pytest.raises(SourceError) as found:
            source.rewind()
    assert found.value.reason == "missing"


def test_units_of_a_recording_do_not_arrive_and_carry_their_parameter_sets(clip: Path) -> None:
    with opened(clip) as source:
        units = list(source.units())
    assert [unit.arrival for unit in units] == [None] * 12
    assert [unit.key for unit in units] == [True] + [False] * 11
    assert units[0].extradata
    assert all(unit.extradata is units[0].extradata for unit in units)


def test_live_source_that_ends_is_lost() -> None:
    """A transport stream over HTTP that says nothing of its duration is a camera."""
    data = b"".join(segment(number) for number in range(2))
    with (
        serving(lambda _path, _headers: Answer(data, "video/mp2t")) as web,
        closing(opened(f"{web.url}/camera", open_timeout_s=5.0, read_timeout_s=5.0)) as source,
    ):
        assert source.endless
        assert all(unit.arrival is not None for unit in source.units())
        with pytest.raises(SourceError, match="the other side ended the stream"):
            source.check_end()


def test_choice_between_two_videos_is_told_and_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as sink:
        streams: list[Any] = []
        for width in (64, 128):
            stream: Any = sink.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuvj420p"
            streams.append(stream)
        for stream in streams:
            for frame in gradients(ClipShape(stream.width, 48, 3)):
                sink.mux(stream.encode(frame))
            sink.mux(stream.encode(None))
    with opened(path) as source:
        assert source.info.width == 128
        assert source.choice_note.startswith("video 1 of 2")
    with opened(path, video=0) as source:
        assert source.info.width == 64


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no video", "invalid"), (None, "missing"), (b"", "invalid")],
    ids=["nonsense", "no file", "empty"],
)
def test_what_can_not_be_opened_says_why(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError) as found:
        opened(path)
    assert found.value.reason == reason


def test_closed_source_says_so_and_closes_again(clip: Path) -> None:
    source = opened(clip)
    source.close()
    source.close()
    with pytest.raises(SourceError) as found:
        list(source.units())
    assert found.value.reason == "closed"
