"""Live HLS whose segments are fragments of MP4 with a head of their own, parts of one file, or encrypted."""

from __future__ import annotations

import re
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import pytest
from tests.neighbours.clips import ClipShape
from tests.sources.http.web import FPS, FRAMES, SEGMENT_S, Answer, hls, serving
from tests.sources.pictures import X264, Encoding, encode, gradients

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.sources.conftest import Watch
    from tests.sources.http.web import Web

KEY = b"0123456789abcdef"


@pytest.fixture(name="watch")
def patient(watch: Watch) -> Watch:
    """On a host with too much to do no picture is late here."""
    return partial(watch, late_ms=20_000.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One film of six segments in three ways."""
    folder = tmp_path_factory.mktemp("fragments")
    encoding = Encoding("libx264", options={**X264, "g": str(FRAMES), "sc_threshold": "0"}, fps=FPS)
    clip = encode(folder / "clip.mp4", encoding, gradients(ClipShape(96, 64, 6 * FRAMES)))
    mp4 = {"hls_segment_type": "fmp4"}
    kinds = {
        "whole": {**mp4, "hls_fmp4_init_filename": "head.mp4", "hls_segment_filename": f"{folder}/f%d.m4s"},
        "parts": {**mp4, "hls_flags": "single_file", "hls_segment_filename": f"{folder}/all.mp4"},
        "secret": {
            "hls_enc": "1",
            "hls_enc_key": KEY.decode(),
            "hls_enc_key_url": f"{folder}/key",
            "hls_segment_filename": f"{folder}/e%d.ts",
        },
    }
    for name, own in kinds.items():
        options = {"hls_time": str(SEGMENT_S), "hls_list_size": "0", **own}
        with av.open(str(clip)) as source, av.open(f"{folder}/{name}.m3u8", "w", options=options) as sink:
            stream = sink.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    sink.mux(packet)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Web]:
    """Serves the folder, its playlists without their ends; it knows ranges."""

    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        file = folder / path.strip("/")
        if not file.is_file():
            return Answer(status=404)
        data = file.read_bytes()
        if path.endswith(".m3u8"):
            return hls(data.decode().replace("#EXT-X-ENDLIST", "").replace(f"{folder}/", ""))
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        if found is None:
            return Answer(data)
        return Answer(data[int(found[1]) : int(found[2]) + 1], status=206)

    with serving(answer) as running:
        yield running


@pytest.mark.parametrize("kind", ["whole", "parts"])
def test_fragments_are_read(server: Web, watch: Watch, kind: str) -> None:
    """The last three segments; each picture once."""
    camera = watch(f"{server.url}/{kind}.m3u8")
    camera.wait_for_frames(3 * FRAMES)
    steps = [later.info.pts_s - earlier.info.pts_s for earlier, later in pairwise(camera.seen)]
    assert steps == pytest.approx([1 / FPS] * (3 * FRAMES - 1), abs=0.003)
    assert len({seen.pixels for seen in camera.seen}) == 3 * FRAMES


def test_encrypted_segments_are_left_to_ffmpeg(server: Web, watch: Watch) -> None:
    camera = watch(f"{server.url}/secret.m3u8")
    camera.wait_for_frames(2 * FRAMES)
    assert {(seen.info.width, seen.info.height) for seen in camera.seen} == {(96, 64)}
    assert any("framelane" not in headers["user-agent"] for path, headers in server.asked if path == "/e5.ts")
