"""Streams that are stored turned come upright out of the decoder, on the CPU and where NVDEC should decode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import pytest
from tests.media.test_orientation import jpeg, tiff, turned_clip

from framelane.config.sections.stream import StreamOptions
from framelane.sources.decoding.decoder import DecoderChoice, StreamDecoder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.conftest import Watch


@pytest.mark.parametrize(("degrees", "size_wh"), [(90, (48, 80)), (180, (80, 48)), (270, (48, 80))])
def test_film_is_shown_upright(tmp_path: Path, watch: Watch, degrees: int, size_wh: tuple[int, int]) -> None:
    camera = watch(str(turned_clip(tmp_path / "clip.mp4", degrees)), realtime=False)
    camera.wait_for_end()
    assert [(seen.info.width, seen.info.height) for seen in camera.seen] == [size_wh] * 3
    live = camera.first("live")
    assert (live.details.width, live.details.height) == size_wh


def test_folder_of_pictures_is_shown_upright(tmp_path: Path, watch: Watch) -> None:
    for orientation in (1, 6, 8):
        (tmp_path / f"{orientation}.jpg").write_bytes(jpeg(tiff(orientation)))
    camera = watch(str(tmp_path), realtime=False)
    camera.wait_for_end()
    assert [(seen.info.width, seen.info.height) for seen in camera.seen] == [(80, 48), (48, 80), (48, 80)]


def test_single_jpeg_as_a_file_is_shown_upright(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg(tiff(5)))
    camera = watch(str(tmp_path / "one.jpg"), realtime=False)
    camera.wait_for_end()
    assert [(seen.info.width, seen.info.height) for seen in camera.seen] == [(48, 80)]


class _Nvdec:
    """Decodes on the CPU, in a context of its own that knows nothing of the container's display matrix."""

    def __init__(self, stream: Any) -> None:
        self.real: Any = av.CodecContext.create(stream.codec_context.name, "r")
        self.real.extradata = stream.codec_context.extradata
        self.framerate = None
        self.thread_count, self.skip_frame = 1, "DEFAULT"
        self.units = 0

    def decode(self, packet: Any) -> Any:
        self.units += 1
        return self.real.decode(packet)


@pytest.mark.parametrize(("degrees", "decoder"), [(0, "nvdec"), (90, "cpu")])
def test_nvdec_leaves_film_that_is_stored_turned_to_the_cpu(
    tmp_path: Path, degrees: int, decoder: str
) -> None:
    """Not one picture of it comes sideways, and none is lost."""
    reasons: list[str] = []
    with av.open(str(turned_clip(tmp_path / "clip.mp4", degrees))) as container:
        stream = container.streams.video[0]
        nvdec = _Nvdec(stream)
        chosen = StreamDecoder(
            stream, DecoderChoice(gpu=0), StreamOptions(), reasons.append,
            lambda *_: nvdec, in_file=True,  # type: ignore[arg-type] # a fake
        )  # fmt: skip
        count = 0
        for packet in container.demux(stream):
            count += len(chosen.decode(packet if packet.size else None) or ())
    assert (chosen.name, count) == (decoder, 3)
    turned = ["the video is stored turned, and pictures are turned on the CPU"]
    assert reasons == (turned if degrees else [])
    assert bool(nvdec.units) == (not degrees)
