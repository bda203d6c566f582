"""A picture is offered before the next one is sent, where the camera's marks allow that, and never a wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape
from tests.sources.odd_camera import serving
from tests.sources.pictures import X264, X265, Encoding, encode, gradients, numbered
from tests.sources.stepped_camera import SteppedCamera

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.conftest import Watch
    from tests.sources.stepped_camera import Marks

COUNT = 12
# It waits for a test that may be slow.
PATIENT = {"read_timeout_s": 60.0, "late_ms": 5_000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stepped")


RARE = {
    "h264": Encoding("libx264", options={**X264, "g": "600", "qp": "10"}, fps=1),
    "hevc": Encoding(
        "libx265",
        options={**X265, "crf": "10", "x265-params": X265["x265-params"].replace("keyint=25", "keyint=600")},
        fps=1,
    ),
}


@pytest.fixture(scope="module", params=RARE)
def rare_keys(request: pytest.FixtureRequest, folder: Path) -> Path:
    """The first of 600 pictures, of which one is a key frame."""
    return encode(folder / f"{request.param}.mp4", RARE[request.param], gradients(ClipShape(frames=COUNT)))


@pytest.fixture(scope="module")
def sliced(folder: Path) -> Path:
    options = {**X264, "slices": "4", "qp": "10"}
    return encode(
        folder / "sliced.mp4", Encoding("libx264", options=options), gradients(ClipShape(frames=COUNT))
    )


@pytest.mark.parametrize("steps", [(1.0,), (0.04, 0.01, 0.9, 0.02, 2.5), (0.0,)])
def test_a_picture_is_offered_before_the_next_is_sent_from_the_second_on(
    rare_keys: Path, watch: Watch, steps: tuple[float, ...]
) -> None:
    camera = SteppedCamera(rare_keys, steps)
    with serving(camera) as server:
        watched = watch(server.url("cam"), **PATIENT)
        camera.send(2)
        watched.wait_for_frames(2)
        for count in range(3, COUNT + 1):
            camera.send()
            watched.wait_for_frames(count)
        assert watched.worker.stop(20)
    assert watched.received == COUNT
    assert watched.dropped["decode"] == watched.dropped["late"] == 0


@pytest.mark.parametrize(("marks", "early"), [("all", True), ("none", True), ("last", False)])
def test_a_picture_is_offered_when_the_next_is_sent_where_marks_tell_nothing(
    sliced: Path,
    watch: Watch,
    marks: Marks,
    early: bool,  # noqa: FBT001
) -> None:
    camera = SteppedCamera(sliced, marks=marks)
    truth = numbered(sliced)
    with serving(camera) as server:
        watched = watch(server.url("cam"), low_latency=early, **PATIENT)
        camera.send(2)
        for count in range(2, COUNT + 1):
            watched.wait_for_frames(count - 1)
            assert watched.received == count - 1
            camera.send()
        seen = watched.wait_for_frames(COUNT)
        assert watched.worker.stop(20)
    assert [truth[each.pixels] for each in seen] == list(range(COUNT))
    assert watched.dropped["decode"] == 0


def test_a_camera_that_marks_each_slice_is_read_whole_after_pictures_of_one_packet(
    folder: Path, watch: Watch
) -> None:
    """What their marks have taught has to be unlearnt; the next key frame makes good what that has cost."""
    options = {**X264, "slices": "4", "qp": "10", "g": "6"}
    clip = encode(
        folder / "keys.mp4", Encoding("libx264", options=options), gradients(ClipShape(frames=2 * COUNT))
    )
    camera = SteppedCamera(clip, marks="all", cut=(1, 2))
    truth = numbered(clip)
    with serving(camera) as server:
        watched = watch(server.url("cam"), **PATIENT)
        camera.send(2 * COUNT)
        last = 2 * COUNT - 2
        watched.wait_for(
            lambda: last in [truth.get(each.pixels) for each in watched.seen], "the last but one"
        )
        assert watched.worker.stop(20)
    numbers = [truth.get(each.pixels) for each in watched.seen]
    assert numbers[numbers.index(6) :] == list(range(6, last + 1))
