from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest
from tests.footage.pictures import Box, found, info, picture

from framelane.config.sections.footage import SnapshotsConfig
from framelane.footage.views import Album, crop_of

if TYPE_CHECKING:
    from framelane.core.frames import Detections

SMALL: Box = (100, 100, 120, 140)
LARGE: Box = (100, 100, 150, 200)
CUT_OFF: Box = (0, 100, 60, 210)
OPTIONS = SnapshotsConfig()


def shown(album: Album, index: int, objects: Detections, *, sharp: bool = True) -> None:
    boxes = [tuple(box) for box in objects.xyxy.tolist()] if sharp else []
    album.saw(info(index), objects, picture(boxes=boxes), OPTIONS)


def best_index(album: Album, track: int = 1) -> int:
    view = album.best("lobby", track)
    assert view is not None
    return view.frame.info.index


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (((1, SMALL, 0.8), True), ((1, LARGE, 0.8), True), 1),
        (((1, LARGE, 0.8), True), ((1, SMALL, 0.9), True), 0),
        (((1, SMALL, 0.5), True), ((1, SMALL, 0.9), True), 1),
        (((1, SMALL, 0.9), True), ((1, SMALL, 0.91), True), 0),
        (((1, SMALL, 0.8), True), ((1, LARGE, 0.8), False), 0),
        (((1, LARGE, 0.8), True), ((1, CUT_OFF, 0.9), True), 0),
        (((1, CUT_OFF, 0.8), True), ((1, LARGE, 0.8), True), 1),
    ],
    ids=["larger", "smaller", "surer", "hardly surer", "blurred", "cut off", "whole again"],
)
def test_best_view_is_large_sure_sharp_and_whole(
    first: tuple[tuple[int, Box, float], bool], second: tuple[tuple[int, Box, float], bool], expected: int
) -> None:
    album = Album()
    for index, (seen, sharp) in enumerate((first, second)):
        shown(album, index, found(seen), sharp=sharp)
    assert best_index(album) == expected


def test_pixels_are_looked_at_only_a_few_times_per_second() -> None:
    album, seen = Album(), []
    for index in range(4):
        larger = (100.0, 100.0, 120.0 + 10 * index, 140.0)
        album.saw(info(index, every_s=0.06), found((1, larger, 0.8)), picture(boxes=[larger]), OPTIONS)
        seen.append(best_index(album))
    assert seen == [0, 0, 0, 3]


def test_objects_without_a_track_have_no_view() -> None:
    album = Album()
    shown(album, 0, found((-1, LARGE, 0.9), (0, SMALL, 0.9)))
    assert [album.best("lobby", track) for track in (-1, 0, 1)] == [None, None, None]
    assert album.best("elsewhere", 1) is None


def test_object_that_was_unseen_for_longest_is_forgotten_when_there_are_too_many() -> None:
    album, options = Album(), SnapshotsConfig(objects=2)
    for index, track in enumerate((1, 2, 1, 3)):
        album.saw(info(index), found((track, LARGE, 0.8)), picture(), options)
    assert [album.best("lobby", track) is not None for track in (1, 2, 3)] == [True, False, True]


def test_frames_are_shared_and_given_up_when_they_take_too_much_memory() -> None:
    size = sum(plane.buffer_size for plane in picture().planes)
    album = Album(most_bytes=2 * size)
    shown(album, 0, found((1, SMALL, 0.8), (2, LARGE, 0.8)))
    shown(album, 1, found((3, SMALL, 0.8)))
    assert album.given_up == 0
    shown(album, 2, found((4, SMALL, 0.8)))
    assert album.given_up == 1
    for track, box in ((1, SMALL), (2, LARGE)):
        view = album.best("lobby", track)
        assert view is not None
        assert view.frame.picture is None
        crop = crop_of(view)
        assert crop is not None
        assert isinstance(crop, av.VideoFrame)
        assert (crop.width, crop.height) == (box[2] - box[0], box[3] - box[1])
    newest = album.best("lobby", 4)
    assert newest is not None
    assert newest.frame.picture is not None


def test_forgotten_objects_let_go_of_their_frames() -> None:
    album = Album()
    shown(album, 0, found((1, SMALL, 0.8), (2, LARGE, 0.8)))
    shown(album, 1, found((3, SMALL, 0.8)))
    album.forget("lobby", 1)
    assert album.best("lobby", 1) is None
    assert album.held_bytes > 0
    album.forget("lobby")
    album.forget("lobby")
    album.forget("elsewhere", 7)
    assert album.held_bytes == 0
