"""Files, folders, HTTP and devices as streams: what is read, and what is said when they can't be."""

from __future__ import annotations

import threading
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest
from tests.inference.jobs import ALL, Sink, names
from tests.neighbours.clips import ClipShape
from tests.sources.pictures import X264, Encoding, encode, gradients, numbered
from tests.sources.watched import WatchedCamera

from framelane.core.clock import SystemClock
from framelane.inference.batcher import Batcher
from framelane.inference.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sources.conftest import Clips, Watch

    from framelane.core.frames import Frame

FAST = {"realtime": False}
WRONG_PASSWORD = "hunter2-4711"


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        if self.path.startswith("/locked"):
            self.send_error(401)
        else:
            super().do_GET()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, clips: Clips) -> Iterator[str]:
    """Serves an MP4 and an HLS playlist of it."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "clip.mp4").write_bytes(clips.paths["h264"].read_bytes())
    with (
        av.open(str(clips.paths["h264"])) as source,
        av.open(
            str(folder / "clip.m3u8"), "w", format="hls", options={"hls_time": "0.5", "hls_list_size": "0"}
        ) as sink,
    ):
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietFiles, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, name="web-files", daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def numbers(camera: WatchedCamera, truth: dict[bytes, int]) -> list[int | None]:
    return [truth.get(seen.pixels) for seen in camera.seen]


@pytest.mark.parametrize("kind", ["h264", "h264-bframes", "hevc", "mjpeg"])
def test_file_gives_every_frame_and_finishes_when_played_once(clips: Clips, watch: Watch, kind: str) -> None:
    camera = watch(str(clips.paths[kind]), **FAST)
    end = camera.wait_for_end()
    assert (end.state, end.reason, end.text) == ("down", "finished", "played to its end")
    assert end.ended
    assert numbers(camera, clips.numbers(kind)) == list(range(50))
    assert {seen.info.clock for seen in camera.seen} == {"media"}


def test_file_starts_again_when_it_loops(clips: Clips, watch: Watch) -> None:
    camera = watch(str(clips.paths["h264"]), loop=True, **FAST)
    camera.wait_for_frames(120)
    camera.worker.stop(10)
    assert numbers(camera, clips.numbers("h264"))[:120] == [number % 50 for number in range(120)]
    steps = [after.info.pts_s - before.info.pts_s for before, after in pairwise(camera.seen[:120])]
    assert steps == pytest.approx([0.02] * 119, abs=0.002)
    assert [state.state for state in camera.states] == ["connecting", "connecting", "live"]


@pytest.mark.parametrize("suffix", ["h264", "ts", "mjpeg"])
def test_file_without_an_index_starts_again_when_it_loops(tmp_path: Path, watch: Watch, suffix: str) -> None:
    """FFmpeg can't seek in the first, and says that its user may not; it is no fault of the stream."""
    codec = "mjpeg" if suffix == "mjpeg" else "libx264"
    encoding = Encoding(
        codec, "yuvj420p" if codec == "mjpeg" else "yuv420p", {} if codec == "mjpeg" else X264
    )
    path = encode(tmp_path / f"clip.{suffix}", encoding, gradients(ClipShape(96, 64, 20)))
    camera = watch(str(path), loop=True, **FAST)
    camera.wait_for_frames(70)
    camera.worker.stop(10)
    assert numbers(camera, numbered(path))[:70] == [number % 20 for number in range(70)]
    steps = [after.info.pts_s - before.info.pts_s for before, after in pairwise(camera.seen[:70])]
    assert steps == pytest.approx([0.04] * 69, abs=0.003)
    assert [state.state for state in camera.states] == ["connecting", "connecting", "live"]
    assert camera.states[-1].reconnects == 0


def test_file_does_not_wait_where_its_time_stamps_jump(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as sink:
        stream: Any = sink.add_stream("libx264", rate=25, options=X264)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number, frame in enumerate(gradients(ClipShape(96, 64, 20))):
            frame.pts, frame.time_base = number + (0 if number < 10 else 90_000), Fraction(1, 25)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    camera = watch(str(path))
    assert camera.wait_for_end().reason == "finished"
    arrivals = [seen.info.received_s for seen in camera.seen]
    assert len(arrivals) == 20
    assert max(later - earlier for earlier, later in pairwise(arrivals)) < 1.0
    assert arrivals[-1] - arrivals[0] == pytest.approx(0.72, abs=0.4)


def test_file_keeps_its_pace_when_it_is_to_play_in_real_time(clips: Clips, watch: Watch) -> None:
    camera = watch(str(clips.paths["h264"]))
    camera.wait_for_end()
    seen = camera.seen
    assert len(seen) == 50
    played_s = seen[-1].info.received_s - seen[0].info.received_s
    assert played_s >= seen[-1].info.pts_s - seen[0].info.pts_s - 0.05


def test_file_gives_the_wanted_rate_when_fps_is_limited(clips: Clips, watch: Watch) -> None:
    camera = watch(str(clips.paths["h264"]), fps=10, **FAST)
    camera.wait_for_end()
    assert numbers(camera, clips.numbers("h264")) == list(range(0, 50, 5))
    assert camera.dropped["fps"] == 40


@pytest.mark.parametrize(("skip", "expected"), [("nonkey", [0, 25]), ("none", list(range(50)))])
def test_file_gives_only_what_is_not_skipped(
    clips: Clips, watch: Watch, skip: str, expected: list[int]
) -> None:
    camera = watch(str(clips.paths["h264"]), skip=skip, **FAST)
    camera.wait_for_end()
    assert numbers(camera, clips.numbers("h264")) == expected


def test_file_loses_no_frame_when_inference_is_slower(clips: Clips) -> None:
    """As fast as possible means as fast as the batcher takes them, with every frame in its turn."""
    batcher, stream = Batcher(1, 0.0, SystemClock()), Sink("cam")

    class Through:
        def join(self) -> None: ...

        def leave(self) -> None: ...

        def offer(self, frame: Frame, *, wait: bool = False) -> None:
            batcher.offer(Job(frame.info, ALL, None, stream), frame.picture, wait=wait)

    camera = WatchedCamera(str(clips.paths["h264"]), **FAST)
    camera.worker._frames._consumer = Through()
    camera.worker.start()
    taken: list[int] = []
    while len(taken) < 50:
        batch = batcher.collect(30)
        assert batch is not None
        taken += [index for _, index in names(batch)]
    assert camera.worker.join(10)
    assert taken == list(range(50))
    assert not stream.counts


def test_folder_gives_its_images_in_the_order_of_names_and_passes_over_bad_ones(
    tmp_path: Path, watch: Watch
) -> None:
    for number, (suffix, size_wh) in enumerate(
        [("jpg", (64, 48)), ("PNG", (65, 47)), ("webp", (32, 32)), ("bmp", (16, 24))]
    ):
        image = np.full((size_wh[1], size_wh[0], 3), 60 * number, np.uint8)
        ok, data = cv2.imencode(f".{suffix.lower()}", image)
        assert ok
        (tmp_path / f"{number}.{suffix}").write_bytes(data.tobytes())
    (tmp_path / "1-bad.jpg").write_bytes(b"no image")
    (tmp_path / "readme.txt").write_text("no image either")
    camera = watch(str(tmp_path), **FAST)
    end = camera.wait_for_end()
    assert end.reason == "finished"
    sizes = [(seen.info.width, seen.info.height) for seen in camera.seen]
    assert sizes == [(64, 48), (65, 47), (32, 32), (16, 24)]
    assert [seen.info.pts_s for seen in camera.seen] == pytest.approx([0.0, 0.08, 0.12, 0.16])
    assert camera.dropped["decode"] == 1


@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8"])
def test_http_gives_every_frame_and_finishes_when_it_is_a_recording(
    web: str, clips: Clips, watch: Watch, name: str
) -> None:
    camera = watch(f"{web}/{name}")
    end = camera.wait_for_end()
    assert (end.state, end.reason) == ("down", "finished")
    assert numbers(camera, clips.numbers("h264")) == list(range(50))


def test_http_recording_is_played_again_though_its_server_can_not_seek(
    web: str, clips: Clips, watch: Watch
) -> None:
    camera = watch(f"{web}/clip.mp4", loop=True)
    frames = camera.wait_for_frames(120)
    assert [clips.numbers("h264").get(each.pixels) for each in frames] == [*range(50), *range(50), *range(20)]
    assert [state.state for state in camera.states if state.state == "down"] == []


def test_file_goes_on_when_the_resolution_changes_in_mid_stream(
    tmp_path: Path, clips: Clips, watch: Watch
) -> None:
    parts = [
        encode(
            tmp_path / f"{width}.ts", Encoding("libx264", options=X264), gradients(ClipShape(width, 96, 10))
        )
        for width in (128, 160)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    camera = watch(str(joined), **FAST)
    assert camera.wait_for_end().reason == "finished"
    assert [seen.info.width for seen in camera.seen] == [128] * 10 + [160] * 10
    times = [seen.info.pts_s for seen in camera.seen]
    assert times == sorted(set(times))


def _text(folder: Path) -> str:
    (folder / "notes.mp4").write_text("this is not a film\n" * 50)
    return str(folder / "notes.mp4")


def _empty(folder: Path) -> str:
    (folder / "empty.mp4").touch()
    return str(folder / "empty.mp4")


def _sound(folder: Path) -> str:
    path = folder / "sound.wav"
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        sink.mux(stream.encode(frame))
    return str(path)


def _no_images(folder: Path) -> str:
    return str(folder)


INVALID = (
    "what comes is not a stream that FFmpeg can read, or nothing comes at all "
    "(Invalid data found when processing input)"
)
MISSING = "there is no such file or device (No such file or directory)"
UNUSABLE = {
    "missing file": (lambda folder: f"{folder}/none.mp4", "missing", MISSING),
    "missing device": (lambda _folder: "/dev/video99", "missing", MISSING),
    "no media": (_text, "invalid", INVALID),
    "empty": (_empty, "invalid", INVALID),
    "no video": (_sound, "no-video", "there is no video in it"),
    "no images": (_no_images, "missing", None),
}


@pytest.mark.parametrize(("make", "reason", "text"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_source_says_why_and_goes_on_trying_when_it_is_unusable(
    tmp_path: Path, watch: Watch, make: Any, reason: str, text: str | None
) -> None:
    camera = watch(make(tmp_path))
    down = camera.first("down")
    expected = text or f"no images in {tmp_path}; supported are .bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp"
    assert (down.reason, down.text) == (reason, expected)
    camera.wait_for_state("down", after=4)


@pytest.mark.parametrize(("path", "reason"), [("none.mp4", "not-found"), ("locked.mp4", "unauthorized")])
def test_http_says_why_and_keeps_the_password_when_it_is_refused(
    web: str, watch: Watch, path: str, reason: str
) -> None:
    camera = watch(f"{web.replace('//', f'//user:{WRONG_PASSWORD}@')}/{path}")
    assert camera.first("down").reason == reason
    assert WRONG_PASSWORD not in repr(camera.states)


def test_file_plays_when_it_comes_into_being_later(tmp_path: Path, clips: Clips, watch: Watch) -> None:
    path = tmp_path / "later.mp4"
    camera = watch(str(path), **FAST)
    camera.wait_for_state("down")
    path.write_bytes(clips.paths["h264"].read_bytes())
    assert camera.wait_for_end().reason == "finished"
    assert len(camera.seen) == 50


def test_source_gives_up_when_nothing_in_it_can_be_decoded(
    tmp_path: Path, clips: Clips, watch: Watch
) -> None:
    """A file whose index is whole and whose pictures are all spoilt."""
    data = bytearray(clips.paths["large-slices"].read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov")
    data[start : end - 4] = np.random.default_rng(1).bytes(end - 4 - start)
    (tmp_path / "spoilt.mp4").write_bytes(data)
    camera = watch(str(tmp_path / "spoilt.mp4"), loop=True, **FAST)
    assert camera.first("down").reason == "undecodable"
    assert camera.seen == []


@pytest.mark.parametrize("loop", [False, True])
def test_folder_is_undecodable_when_none_of_its_images_is_one(
    tmp_path: Path,
    watch: Watch,
    loop: bool,  # noqa: FBT001
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    camera = watch(str(tmp_path), loop=loop, **FAST)
    down = camera.first("down")
    assert (down.reason, down.text) == ("undecodable", "it contains no picture that can be decoded")
    camera.wait_for_state("down", after=4)  # and it goes on trying, with pauses
