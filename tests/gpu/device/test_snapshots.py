"""Snapshots of frames that NVDEC leaves on the GPU, against the CPU path's of the same frames."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest
from tests.footage.conftest import Street
from tests.footage.test_street import KINDS, RULES, URL, Taken, iou, overlap
from tests.gpu.device.here import needs_gpu, needs_nvdec
from tests.gpu.device.test_daemon import model_section, run
from tests.gpu.device.test_pictures import decoded, nvdec
from tests.waiting import wait_until

from framelane.config.yaml.load import parse_config
from framelane.core.frames import Detections
from framelane.demo.clips import load_truth
from framelane.footage.jpegs import encoded, note_of
from framelane.footage.pixels import Region, cut, ready, region_of, sharpness
from framelane.gpu.stream import Event as Mark
from framelane.gpu.stream import Stream
from framelane.inference.backends.cuda.frame_copier import FrameCopier, FrameCopies
from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.messages.events import event_id
from framelane.node.node import Node
from framelane.pipeline.local import LocalPipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.config.sections.model import ModelConfig
    from framelane.core.events import Event
    from framelane.inference.backends.cuda.frame_copy import FrameCopy
    from framelane.node.pipeline import NodeParts, Pipeline

    Array = NDArray[np.uint8]

# Building the engine is part of the first test that infers.
pytestmark = [pytest.mark.gpu, needs_gpu, needs_nvdec, pytest.mark.timeout(580)]

CODINGS = ["h264", "hevc", "hevc10", "h264-full"]
BOXES = np.array([[40, 30, 200, 160], [41, 31, 122, 152], [0, 0, 640, 360], [301, 101, 420, 330]], np.float32)
LONGEST = 320


class Slot:
    """What a slot has to copy frames with."""

    def __init__(self, gpu: SharedGpu) -> None:
        self.stream = Stream()
        self.copies = FrameCopies("gate", gpu)
        self.copier = FrameCopier(gpu.kernels, self.copies)

    def copy(self, frames: list[Any]) -> list[FrameCopy]:
        """Copies of surfaces, whose boxes have been looked at."""
        decoder_is_done = Mark()
        decoder_is_done.record(None)
        self.stream.wait_for(decoder_is_done)
        pictured = [64] * len(frames)
        copies = self.copier.copy(frames, pictured, self.stream)
        self.stream.synchronize()
        decoder_is_done.close()
        count = len(BOXES)
        found = Detections(BOXES, np.ones(count, np.float32), np.zeros(count, np.int32))
        self.copier.look(copies, [found] * len(frames), pictured, self.stream)
        return list(copies.values())


@pytest.fixture
def slot() -> Iterator[Slot]:
    gpu = SharedGpu()
    with ExitStack() as owned:
        owned.callback(gpu.close)
        owned.enter_context(gpu.device.current())
        made = Slot(gpu)
        owned.callback(made.copies.close, 10.0)
        owned.callback(made.copier.close)
        owned.callback(made.stream.close)
        yield made


def luma(frame: av.VideoFrame) -> Array:
    lines = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(-1, frame.planes[0].line_size)
    return lines[: frame.height, : frame.width]


def in_eight_bits(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame as copies have it: swscale turns more bits into colors by other code, which blurs chroma."""
    return frame.reformat(format="yuv420p") if "10" in frame.format.name else frame


def psnr(one: Array, other: Array) -> float:
    assert one.shape == other.shape
    return float(cv2.PSNR(one, other))


@pytest.mark.parametrize("name", CODINGS)
def test_copies_of_surfaces_have_the_cpu_decoders_pixels(slot: Slot, footage: Path, name: str) -> None:
    far = slot.copy(decoded(footage / f"{name}.mp4", hwaccel=nvdec()))
    near = [in_eight_bits(frame) for frame in decoded(footage / f"{name}.mp4")]
    assert len(far) == len(near)
    for copy, frame in zip(far, near, strict=True):
        regions = [region_of(tuple(box), (frame.width, frame.height), 0.0) for box in BOXES.tolist()]
        fetched = copy.fetch(regions, LONGEST)
        for region, crop in zip(regions, map(ready, fetched.crops), strict=True):
            expected = cut(frame, region)
            if name != "hevc10":
                np.testing.assert_array_equal(luma(expected), luma(crop))
                assert copy.sharpness(region) == pytest.approx(sharpness(frame, region), abs=0.02)
            one, other = (np.asarray(each.to_ndarray(format="bgr24"), np.uint8) for each in (expected, crop))
            assert psnr(one, other) > 40
        assert fetched.whole is not None
        whole = ready(fetched.whole)
        expected_whole = frame.reformat(whole.width, whole.height, "bgr24", interpolation="AREA").to_ndarray()
        assert max(whole.width, whole.height) == LONGEST
        assert (
            psnr(np.asarray(expected_whole, np.uint8), whole.to_ndarray(format="bgr24").astype(np.uint8)) > 30
        )


def play(clip: Path, folder: Path, model: ModelConfig, decode: str) -> tuple[list[Event], int]:
    """Play every frame of a clip; the events, and the GPU's memory that copies of frames took."""
    taken, folder = Taken(), folder / decode
    folder.mkdir()
    config = {
        "node": {"id": "gate-01"},
        "jsonl": {"path": str(folder / "out.jsonl")},
        "media": {"folder": "media", "min_free_bytes": "1MiB", "url": URL},
        "models": {"street": model_section(model)},
        "streams": [
            {"id": "cam0", "url": str(clip), "track": True, "realtime": False, "decode": decode}
            | {"snapshots": {"longest": LONGEST, "quality": 95}, **RULES}
        ],
    }
    pipelines: list[LocalPipeline] = []

    def local(whole: Any, parts: NodeParts) -> Pipeline:
        pipelines.append(LocalPipeline(whole, parts.board, parts.publisher, parts.clock, taken))
        return pipelines[0]

    node = Node(parse_config(json.dumps(config), folder, {}), local)
    node.start()
    try:
        wait_until(lambda: node.ended, timeout_s=120)
        counts = pipelines[0].meters.snapshot().models["street"]
        assert counts.not_copied == 0
    finally:
        node.stop(20)
    return taken.events, counts.copy_bytes


def frames_by_time(clip: Path) -> dict[int, av.VideoFrame]:
    with av.open(str(clip)) as container:
        return {
            round(frame.time * 1000): in_eight_bits(frame)
            for frame in container.decode(video=0)
            if frame.time is not None
        }


def images_of(folder: Path, name: str) -> dict[str, tuple[Any, Array]]:
    """Note and pixels of both files of an event."""
    found = {}
    for suffix in ("jpg", "whole.jpg"):
        (path,) = folder.glob(f"*/*/{name}.{suffix}")
        data = path.read_bytes()
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        found[suffix] = note_of(data), np.asarray(image, np.uint8)
    return found


def as_jpeg(frame: av.VideoFrame, longest: int | None = None) -> Array:
    data = encoded(frame, 95, longest)
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("name", ["h264", "hevc10", "h264-full"])
def test_snapshots_of_nvdecs_frames_are_the_cpu_paths(
    tmp_path: Path, footage: Path, demo_model: ModelConfig, name: str
) -> None:
    clip = footage / f"{name}.mp4"
    events, copy_bytes = play(clip, tmp_path, demo_model, "nvdec")
    due = [event for event in events if event.kind in KINDS]
    assert copy_bytes > 0
    assert len(due) >= 3
    street, frames = Street(clip, load_truth(clip)), frames_by_time(clip)
    overlaps, regions = [], {}
    for event in due:
        event_name = event_id("gate-01", event)
        assert event.snapshot_url == f"{URL}/api/events/{event_name}/snapshot.jpg"
        images = images_of(tmp_path / "nvdec" / "media", event_name)
        note, crop = images["jpg"]
        whole = images["whole.jpg"][1]
        frame = frames[round(note["pts"] * 1000)]
        assert psnr(as_jpeg(cut(frame, Region(*note["region"]))), crop) > 36
        assert psnr(as_jpeg(frame, LONGEST), whole) > 30
        overlaps.append(overlap(note, street))
        regions[event.kind, event.rule, event.object.track_id] = note
    assert np.median(overlaps) >= 0.7

    on_cpu, _ = play(clip, tmp_path, demo_model, "cpu")
    both, alike = 0, 0
    for event in on_cpu:
        note = regions.get((event.kind, event.rule, event.object.track_id))
        if note is not None:
            other = images_of(tmp_path / "cpu" / "media", event_id("gate-01", event))["jpg"][0]
            both += 1
            alike += abs(other["pts"] - note["pts"]) < 0.3 and iou(other["region"], note["region"]) > 0.7
    assert both >= 0.6 * len(due)
    assert alike >= 0.7 * both


@pytest.mark.e2e
def test_workers_make_snapshots_of_their_shares(
    tmp_path: Path, demo_model: ModelConfig, footage: Path
) -> None:
    ids = [f"cam{number:02d}" for number in range(4)]
    media = tmp_path / "media"
    options = {"url": str(footage / "h264.mp4"), "loop": True, "track": True, "snapshots": {}, **RULES}
    config = {
        "models": {"demo": model_section(demo_model)},
        "media": {"folder": str(media), "min_free_bytes": "1MiB"},
        "workers": 2,
        "streams": [{"id": name, **options} for name in ids],
    }
    received = run(tmp_path, config, ids)
    assert set(received.decoders.values()) == {"nvdec"}
    kept = {name: len(list(media.glob(f"*/{name}/*.jpg"))) for name in ids}
    assert min(kept.values()) >= 2, kept
