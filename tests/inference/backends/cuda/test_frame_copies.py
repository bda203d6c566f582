"""Copies of frames on the GPU: their pixels are the frame's, their memory is bounded, and nobody waits for them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.gpu.shim.host import HostBuffer, HostEvent
from tests.inference.backends.cuda.shim_copies import found_in, shim_copies
from tests.inference.backends.cuda.test_preprocess import PictureOnGpu, picture

from framelane.footage.pixels import Region, cut, region_of, sharpness
from framelane.gpu.errors import GpuError, OutOfMemoryError
from framelane.inference.backends.cuda.frame_memory import FrameMemory
from framelane.inference.backends.cuda.looks import regions_of
from framelane.models.input.pixel_formats import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from tests.inference.backends.cuda.shim_copies import ShimCopies

    from framelane.inference.backends.cuda.frame_copy import Fetched

    Array = NDArray[Any]

WAIT_S = 30.0
SIZE_WH = (322, 242)
REGIONS = [(40, 30, 122, 152), (41, 31, 122, 152), (0, 0, 322, 242), (321, 241, 322, 242), (5, 7, 6, 240)]
EIGHT_BITS = {"nv12": "yuv420p", "nv16": "yuv422p", "yuv444p": "yuv444p"}
SIXTEEN_BITS = {"p010le": "yuv420p", "p016le": "yuv420p", "p210le": "yuv422p", "yuv444p16le": "yuv444p"}


@pytest.fixture
def shim() -> Iterator[ShimCopies]:
    with shim_copies() as made:
        yield made


def planes_of(frame: av.VideoFrame) -> list[Array]:
    """The samples of Y, U and V."""
    layout, found = LAYOUTS[frame.format.name], []
    for number, plane in enumerate(frame.planes):
        wide, high = layout.chroma_wh((frame.width, frame.height)) if number else (frame.width, frame.height)
        dtype = np.uint16 if layout.sample_bytes > 1 else np.uint8
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size).view(dtype)
        steps = 2 if number and layout.interleaved else 1
        found += [lines[:high, first : wide * steps : steps] for first in range(steps)]
    return found


def whole_of(fetched: Fetched) -> av.VideoFrame:
    assert fetched.whole is not None
    return fetched.whole.result(WAIT_S)


def test_crops_come_alone_if_no_whole_frame_is_wanted(shim: ShimCopies) -> None:
    fetched = shim.of([picture("nv12", SIZE_WH, 1)])[0].fetch(REGIONS[:1], 0)
    assert (fetched.whole, fetched.whole_bytes) == (None, 0)
    assert fetched.crops[0].result(WAIT_S).width == REGIONS[0][2] - REGIONS[0][0]


@pytest.mark.parametrize("pixel_format", EIGHT_BITS)
def test_fetched_regions_are_the_frames_samples(shim: ShimCopies, pixel_format: str) -> None:
    frames = [picture(pixel_format, SIZE_WH, seed) for seed in range(2)]
    for frame, copy in zip(frames, shim.of(frames), strict=True):
        fetched = copy.fetch(REGIONS, 4000)
        for region, crop in zip(REGIONS, fetched.crops, strict=True):
            expected, actual = cut(frame, Region(*region)), crop.result(WAIT_S)
            assert (actual.width, actual.height, actual.format.name) == (
                region[2] - region[0],
                region[3] - region[1],
                EIGHT_BITS[pixel_format],
            )
            for one, other in zip(planes_of(expected), planes_of(actual), strict=True):
                np.testing.assert_array_equal(one, other)
        for one, other in zip(planes_of(frame), planes_of(whole_of(fetched)), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("pixel_format", SIXTEEN_BITS)
def test_samples_of_two_bytes_are_rounded_to_eight_bits(shim: ShimCopies, pixel_format: str) -> None:
    frame = picture(pixel_format, SIZE_WH, 3)
    whole = whole_of(shim.of([frame])[0].fetch([], 4000))
    assert whole.format.name == SIXTEEN_BITS[pixel_format]
    for one, other in zip(planes_of(frame), planes_of(whole), strict=True):
        np.testing.assert_array_equal(np.minimum(np.rint(one / 256), 255), other)


@pytest.mark.parametrize("pitch_step", [256, 7], ids=["aligned", "odd"])
def test_lines_of_any_pitch_are_copied(shim: ShimCopies, pitch_step: int) -> None:
    frame = picture("nv12", (70, 42), 4)
    image: Any = PictureOnGpu(frame, pitch_step)
    (copy,) = shim.copier.copy([image], [1], shim.stream).values()
    whole = whole_of(copy.fetch([], 4000))
    for one, other in zip(planes_of(frame), planes_of(whole), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size_wh", [(320, 240), (322, 242), (161, 121)])
@pytest.mark.parametrize("longest", [319, 160, 64, 7])
def test_whole_frame_is_reduced_as_opencv_does(
    shim: ShimCopies, size_wh: tuple[int, int], longest: int
) -> None:
    frame = picture("nv12", size_wh, 5)
    fetched = shim.of([frame])[0].fetch([], longest)
    whole = whole_of(fetched)
    assert max(whole.width, whole.height) == min(longest, max(size_wh))
    luma = planes_of(whole)[0]
    expected = cv2.resize(planes_of(frame)[0], (whole.width, whole.height), interpolation=cv2.INTER_AREA)
    assert np.abs(expected.astype(int) - luma).max() <= 1
    assert fetched.whole_bytes == sum(plane.size for plane in planes_of(whole))


@pytest.mark.parametrize(("colorspace", "color_range"), [(1, 1), (5, 2), (2, 0), (9, 1)])
def test_colors_go_with_the_pixels(shim: ShimCopies, colorspace: int, color_range: int) -> None:
    frame = picture("nv12", SIZE_WH, 6, colorspace=colorspace, color_range=color_range)
    whole = whole_of(shim.of([frame])[0].fetch([], 4000))
    assert (int(whole.colorspace), int(whole.color_range)) == (colorspace, color_range)


def scene(seed: int) -> av.VideoFrame:
    """Edges and noise of all strengths."""
    rng = np.random.default_rng(seed)
    image = np.full((242, 322, 3), 90, np.uint8)
    for _ in range(60):
        left, top = rng.integers(0, 300), rng.integers(0, 220)
        color = [int(value) for value in rng.integers(0, 255, 3)]
        cv2.rectangle(image, (int(left), int(top)), (int(left) + 40, int(top) + 30), color, -1)
    noise = rng.normal(0, 1, image.shape) * np.linspace(0, 12, 322)[None, :, None]
    image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="nv12")


def test_sharpness_is_that_of_frames_in_host_memory(shim: ShimCopies) -> None:
    rng = np.random.default_rng(8)
    boxes = [
        (10.4, 10.6, 200.2, 180.0),
        (0, 0, 322, 242),
        (50, 50, 50, 50),
        (-9, 200, 20, 400),
        (3, 3, 9, 240),
    ]
    for _ in range(40):
        left, top = rng.uniform(-10, 315), rng.uniform(-10, 235)
        boxes.append((left, top, left + rng.uniform(1, 150), top + rng.uniform(1, 150)))
    frames = [scene(seed) for seed in range(2)]
    for frame, copy in zip(frames, shim.of(frames, [boxes, boxes]), strict=True):
        regions = [region_of(tuple(box), SIZE_WH, 0.0) for box in np.array(boxes, np.float32).tolist()]
        expected = [sharpness(frame, region) for region in regions]
        assert [copy.sharpness(region) for region in regions] == pytest.approx(expected, abs=0.02)
        assert max(expected) > 0.9
        assert min(expected) < 0.1


def test_surest_objects_alone_are_looked_at(shim: ShimCopies) -> None:
    boxes = [(10.0 * number, 10, 10.0 * number + 8, 60) for number in range(4)]
    (copy,) = shim.of([scene(1)], [boxes], most=2)
    measured = [copy.sharpness(region_of(box, SIZE_WH, 0.0)) is not None for box in boxes]
    assert measured == [True, True, False, False]


def test_regions_are_those_of_the_cpu_path() -> None:
    rng = np.random.default_rng(9)
    corners = rng.uniform(-20, 340, (500, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 90, (500, 2))], axis=1)
    boxes[:100] = np.rint(boxes[:100] * 2) / 2
    xyxy = boxes.astype(np.float32)
    expected = [region_of(tuple(box), SIZE_WH, 0.0) for box in xyxy.tolist()]
    actual = regions_of(xyxy, np.array([SIZE_WH] * 500, np.int32))
    assert expected == [tuple(each) for each in actual.tolist()]


def test_frames_that_need_no_copy_cost_nothing(shim: ShimCopies) -> None:
    before = HostBuffer.open_now
    images: Any = [PictureOnGpu(picture("nv12", SIZE_WH, 1)), picture("nv12", SIZE_WH, 2)]
    assert shim.copier.copy(images, [0, 7], shim.stream) == {}
    assert (shim.launched, shim.stream.copies) == ([], [])
    assert HostBuffer.open_now == before
    assert not shim.copies.fetcher.alive


def test_batch_is_copied_and_looked_at_with_one_launch_each(shim: ShimCopies) -> None:
    images: Any = [
        picture("nv12", SIZE_WH, 0),
        *(PictureOnGpu(picture("nv12", SIZE_WH, n)) for n in (1, 2, 3)),
    ]
    pictured = [5, 5, 0, 5]
    copies = shim.copier.copy(images, pictured, shim.stream)
    assert list(copies) == [1, 3]
    shim.copier.look(copies, [found_in([(0, 0, 9, 9)])] * 4, pictured, shim.stream)
    assert shim.launched == ["framelane_copy_planes", "framelane_sharpness"]
    assert len(shim.stream.copies) == 3  # a table each, and the results


def test_memory_of_a_copy_is_free_with_its_last_reference(shim: ShimCopies) -> None:
    first = shim.of([picture("nv12", SIZE_WH, 1)])
    address = first[0].block.address
    assert shim.of([picture("nv12", SIZE_WH, 2)])[0].block.address != address
    del first
    second = shim.of([picture("nv12", SIZE_WH, 3)])
    assert second[0].block.address == address


def test_copies_that_find_no_room_are_left_out(shim: ShimCopies) -> None:
    shim.copies.memory = FrameMemory(most_bytes=400_000)
    try:
        frames = [picture("nv12", SIZE_WH, seed) for seed in range(4)]
        held = shim.of(frames)
        assert len(held) == 2
        assert shim.copies.memory.bytes <= 400_000
        del held
        assert len(shim.of(frames[:1])) == 1
    finally:
        shim.copies.memory.close()


def test_surface_itself_is_not_held(shim: ShimCopies) -> None:
    images: Any = [PictureOnGpu(picture("nv12", SIZE_WH, 1))]
    surface = weakref.ref(images[0])
    copies = shim.copier.copy(images, [1], shim.stream)
    images.clear()
    assert surface() is None
    assert copies[0].width == SIZE_WH[0]


@pytest.mark.parametrize("place", ["frame_memory.DeviceBuffer", "twin_buffer.PinnedBuffer"])
def test_full_gpu_costs_the_copies_and_not_the_batch(
    shim: ShimCopies, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(size: int) -> None:
        raise OutOfMemoryError(f"{size} bytes on GPU 0")

    monkeypatch.setattr(f"framelane.inference.backends.cuda.{place}", full)
    assert shim.of([picture("nv12", SIZE_WH, 1)]) == []


def test_full_gpu_costs_the_look_alone(shim: ShimCopies, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(size: int) -> None:
        raise OutOfMemoryError(f"{size} bytes of pinned memory")

    box = (10.0, 10.0, 60.0, 60.0)
    images: Any = [PictureOnGpu(picture("nv12", SIZE_WH, 1))]
    copies = shim.copier.copy(images, [1], shim.stream)
    monkeypatch.setattr("framelane.inference.backends.cuda.twin_buffer.PinnedBuffer", full)
    shim.copier.look(copies, [found_in([box])], [1], shim.stream)
    assert copies[0].sharpness(region_of(box, SIZE_WH, 0.0)) is None


@pytest.mark.parametrize("done", [True, False])
def test_buffers_of_a_look_are_used_again_once_the_gpu_is_done(
    shim: ShimCopies, monkeypatch: pytest.MonkeyPatch, *, done: bool
) -> None:
    frame, box = scene(3), (10.0, 10.0, 160.0, 160.0)
    before = HostBuffer.open_now
    first = shim.of([frame], [[box]])
    one_look = HostBuffer.open_now - before
    monkeypatch.setattr(HostEvent, "done", done)
    del first
    (copy,) = shim.of([frame], [[box]])
    more = HostBuffer.open_now - before - one_look
    assert more == (0 if done else 2)
    assert copy.sharpness(region_of(box, SIZE_WH, 0.0)) == pytest.approx(
        sharpness(frame, region_of(box, SIZE_WH, 0.0)), abs=0.02
    )


def test_free_blocks_make_room_for_those_of_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framelane.inference.backends.cuda.frame_memory.DeviceBuffer", HostBuffer)
    now_s = [0.0]
    memory = FrameMemory(1 << 20, lambda: now_s[0])
    blocks = [memory.take(1 << 18) for _ in range(5)]
    assert [block is not None for block in blocks] == [True] * 4 + [False]
    del blocks[:3]
    # To make room waits for the GPU, so it does not happen often.
    assert memory.take(1 << 19) is None
    now_s[0] = 11.0
    large = memory.take(1 << 19)
    assert large is not None
    assert memory.bytes == (1 << 19) + (1 << 18)
    memory.close()
    del large, blocks
    assert memory.bytes == 0
    fresh = memory.take(1 << 19)
    assert fresh is not None
    assert fresh.address
    memory.close()


@pytest.mark.parametrize("pixel_format", ["yuv422p10le", None])
def test_surface_of_another_format_gives_no_copy_and_the_log_says_it_once(
    shim: ShimCopies, pixel_format: str | None
) -> None:
    images: list[Any] = [PictureOnGpu(picture(pixel_format or "yuv422p", SIZE_WH, seed)) for seed in range(2)]
    if pixel_format is None:
        for image in images:
            del image.sw_format
            image.planes[0].__class__ = type("Plane", (), {"__dlpack__": _not_exported})
    with capture_logs() as logs:
        assert shim.copier.copy(images, [1, 1], shim.stream) == {}
    assert [entry["event"] for entry in logs] == ["snapshots_impossible"]


def _not_exported(_self: object) -> None:
    raise NotImplementedError


def test_regions_that_nobody_wants_any_more_are_left_out(
    shim: ShimCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shim.copies.fetcher, "start", lambda: None)
    (copy,) = shim.of([picture("nv12", SIZE_WH, 1)])
    copy.fetch(REGIONS, 100)
    wanted = copy.fetch(REGIONS[:1], 100)
    assert [shot.region for shot in shim.copies.fetcher._next()] == [REGIONS[0], (0, 0, *SIZE_WH)]
    assert len(wanted.crops) == 1


def test_regions_that_do_not_fit_together_come_one_after_the_other(
    shim: ShimCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framelane.inference.backends.cuda.fetcher._MOST_AT_ONCE_BYTES", 50_000)
    frame = picture("nv12", SIZE_WH, 2)
    fetched = shim.of([frame])[0].fetch(REGIONS, 4000)
    for region, crop in zip(REGIONS, fetched.crops, strict=True):
        expected = planes_of(cut(frame, Region(*region)))
        for one, other in zip(expected, planes_of(crop.result(WAIT_S)), strict=True):
            np.testing.assert_array_equal(one, other)
    assert shim.launched.count("framelane_reduce_planes") >= 3


def test_fault_costs_the_regions_at_hand_alone(shim: ShimCopies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framelane.inference.backends.cuda.fetcher._MOST_AT_ONCE_BYTES", 1)
    (copy,) = shim.of([picture("nv12", SIZE_WH, 1)])
    faults = [GpuError("too many resources requested for launch")]
    launch = shim.launch

    def fail_once(name: str, *arguments: Any) -> None:
        if faults:
            raise faults.pop()
        launch(name, *arguments)

    monkeypatch.setattr(shim, "launch", fail_once)
    fetched = copy.fetch(REGIONS[:2], 100)
    with pytest.raises(GpuError, match="too many resources"):
        fetched.crops[0].result(WAIT_S)
    assert fetched.crops[1].result(WAIT_S).height == 121
    assert whole_of(fetched).width == 100


def test_pixels_wanted_after_the_end_do_not_come(shim: ShimCopies) -> None:
    (copy,) = shim.of([picture("nv12", SIZE_WH, 1)])
    whole_of(copy.fetch(REGIONS[:1], 100))
    shim.copies.fetcher.stop(WAIT_S)
    with pytest.raises(GpuError, match="the model is closed"):
        whole_of(copy.fetch([], 100))
