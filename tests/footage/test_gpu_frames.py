"""Snapshots of frames that stay on the GPU: the same views as on the CPU, with the same pixels."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tests.footage.pictures import SIZE_WH, event_of, found, info, picture
from tests.footage.test_snapshots import Disk
from tests.inference.backends.cuda.shim_copies import shim_copies

from framelane.config.sections.footage import SnapshotsConfig
from framelane.footage.address import Addresses
from framelane.footage.events import SnapshotEvents
from framelane.footage.jpegs import note_of
from framelane.footage.pixels import ready
from framelane.footage.snapshots import SnapshotMaker
from framelane.footage.views import Album, crop_of
from framelane.gpu.errors import GpuError
from framelane.messages.events import event_id
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import av
    from numpy.typing import NDArray
    from tests.footage.pictures import Box
    from tests.inference.backends.cuda.shim_copies import ShimCopies

    from framelane.core.events import Event, Occupancy
    from framelane.core.frames import Picture

WAIT_S = 30.0
SURE = 0.8


@pytest.fixture
def shim() -> Iterator[ShimCopies]:
    with shim_copies() as made:
        yield made


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    assert one.shape == other.shape
    return float(cv2.PSNR(one, other))


def boxes_at(rng: np.random.Generator, step: int) -> list[Box]:
    """Three objects that come nearer, one of them along the border."""
    return [
        (100.0 - 2 * step, 60.0, 120.0 + 2 * step, 100.0 + 3 * step),
        (0.0, 10.0, 20.0 + 3 * step, 60.0 + step),
        (220.0 + rng.uniform(0, 20), 150.0 + rng.uniform(0, 20), 250.0 + rng.uniform(0, 40), 200.0),
    ]


def test_best_views_are_those_of_frames_in_host_memory(shim: ShimCopies) -> None:
    rng, near, far = np.random.default_rng(4), Album(), Album()
    options = SnapshotsConfig(margin=0.1)
    for index in range(20):
        boxes = boxes_at(rng, index)
        frame = picture(boxes=boxes if index % 3 else boxes[:1], pixel_format="nv12")
        objects = found(*((track, box, SURE) for track, box in enumerate(boxes, 1)))
        near.saw(info(index), objects, frame, options)
        far.saw(info(index), objects, shim.of([frame], [objects.xyxy.tolist()])[0], options)
    for track in (1, 2, 3):
        expected, actual = near.best("lobby", track), far.best("lobby", track)
        assert expected is not None
        assert actual is not None
        assert expected.frame.info.index == actual.frame.info.index
        assert (expected.region, expected.xyxy) == (actual.region, actual.xyxy)
        assert actual.score == pytest.approx(expected.score, rel=0.03)
        crops = [crop_of(view) for view in (expected, actual)]
        one, other = (ready(crop).to_ndarray(format="gray") for crop in crops if crop is not None)
        np.testing.assert_array_equal(one, other)


class Bench:
    """Events on their way through snapshots."""

    def __init__(self, folder: Path) -> None:
        self.disk, self.meter = Disk(folder), StreamMeter("lobby")
        self.maker = SnapshotMaker(self.disk, lambda _message: None, lambda: 0.0)
        self.events = SnapshotEvents("gate-01", Addresses("http://gate-01:8080"), self.maker.put, self)

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        pass

    def images(self, shown: Picture, box: Box, options: SnapshotsConfig) -> dict[str, NDArray[np.uint8]]:
        """The images of an object that one frame shows, by their suffix."""
        self.events.follow("lobby", options, self.meter)
        self.events.album("yolox").saw(info(0), found((7, box, SURE)), shown, options)
        event = event_of(7, "end", reason="left")
        self.events.take([event])
        self.maker.stop(WAIT_S)
        name = event_id("gate-01", event)
        assert self.events.album("yolox").held_bytes == 0
        images = {}
        for suffix in ("jpg", "whole.jpg"):
            data = self.disk.files.get((name, suffix))
            if data is not None:
                assert note_of(data) is not None
                decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                images[suffix] = np.asarray(decoded, np.uint8)
        return images

    @property
    def fates(self) -> dict[str, int]:
        return {fate: count for fate, count in self.meter.snapshot().snapshots.items() if count}


@pytest.mark.parametrize("longest", [1280, 200])
@pytest.mark.parametrize("color_range", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize(("cpus", "gpus"), [("yuv420p", "nv12"), ("yuv420p10le", "p010le")])
def test_both_images_are_those_of_a_frame_in_host_memory(
    shim: ShimCopies, tmp_path: Path, cpus: str, gpus: str, color_range: int, longest: int
) -> None:
    box: Box = (101.0, 61.0, 160.0, 180.0)
    shown = (
        picture(boxes=[box], pixel_format=cpus),
        picture(boxes=[box], pixel_format=cpus).reformat(format=gpus),
    )
    for frame in shown:
        frame.color_range = color_range
    options = SnapshotsConfig(longest=longest, quality=95)
    near, far = Bench(tmp_path), Bench(tmp_path)
    expected = near.images(shown[0], box, options)
    actual = far.images(shim.of([shown[1]], [[box]])[0], box, options)
    assert near.fates == far.fates == {"kept": 1}
    assert expected.keys() == actual.keys() == {"jpg", "whole.jpg"}
    if gpus == "nv12":
        np.testing.assert_array_equal(expected["jpg"], actual["jpg"])
    assert psnr(expected["jpg"], actual["jpg"]) > 38
    assert psnr(expected["whole.jpg"], actual["whole.jpg"]) > (38 if longest > max(SIZE_WH) else 32)


def test_frame_whose_objects_were_not_looked_at_shows_none_best(shim: ShimCopies) -> None:
    album, (copy,) = Album(), shim.of([picture(pixel_format="nv12")])
    album.saw(info(0), found((1, (9, 9, 60, 60), SURE)), copy, SnapshotsConfig())
    assert album.best("lobby", 1) is None


def test_copy_is_free_as_soon_as_its_pixels_are_fetched(shim: ShimCopies) -> None:
    album, box = Album(), (100.0, 60.0, 160.0, 180.0)
    copy = shim.of([picture(boxes=[box], pixel_format="nv12")], [[box]])[0]
    address = copy.block.address
    album.saw(info(0), found((1, box, SURE)), copy, SnapshotsConfig())
    view = album.best("lobby", 1)
    assert view is not None
    for pixels in (view.crop, view.frame.picture):
        assert pixels is not None
        ready(pixels)
    del copy
    # The thread has let it go once it has begun with nothing new.
    shim.copies.fetcher.stop(WAIT_S)
    assert shim.of([picture(pixel_format="nv12")])[0].block.address == address


def test_whole_frames_are_given_up_when_they_take_too_much_memory(shim: ShimCopies) -> None:
    album, box = Album(most_bytes=320 * 240 * 3 // 2), (100.0, 60.0, 160.0, 180.0)
    for track in (1, 2):
        copy = shim.of([picture(boxes=[box], pixel_format="nv12")], [[box]])[0]
        album.saw(info(track), found((track, box, SURE)), copy, SnapshotsConfig())
    views = [album.best("lobby", track) for track in (1, 2)]
    assert [view is not None and view.frame.picture is not None for view in views] == [False, True]
    assert all(view is not None and view.crop is not None and ready(view.crop).width == 60 for view in views)


def test_pixels_that_do_not_come_fail_the_snapshot_alone(tmp_path: Path) -> None:
    class Lost:
        def sharpness(self, _region: object) -> float:
            return 0.5

        def fetch(self, regions: Sequence[object], _longest: int) -> Lost:
            self.whole: Future[av.VideoFrame] = Future()
            self.whole.set_exception(GpuError("the GPU has none"))
            self.crops, self.whole_bytes = [self.whole] * len(regions), 1000
            return self

        width, height = 320, 240

    bench = Bench(tmp_path)
    assert bench.images(Lost(), (10, 10, 60, 60), SnapshotsConfig()) == {}
    assert bench.fates == {"failed": 1}
