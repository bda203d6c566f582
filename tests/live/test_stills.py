from __future__ import annotations

import struct
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import orjson
from tests.sinks.examples import FakeClock

from framelane.live.stills import LONGEST, Size, Stills

from .coded import number_of
from .found import frame, result

if TYPE_CHECKING:
    from framelane.live.records import Record

SIZES: tuple[Size, ...] = ("tile", "large")
TILE: tuple[Size, ...] = ("tile",)
LARGE: tuple[Size, ...] = ("large",)


def parts(record: Record) -> tuple[Any, np.ndarray[Any, Any]]:
    (length,) = struct.unpack_from("<I", record.payload)
    image = cv2.imdecode(np.frombuffer(record.payload[4 + length :], np.uint8), cv2.IMREAD_GRAYSCALE)
    return orjson.loads(record.payload[4 : 4 + length]), np.asarray(image)


def test_a_still_has_the_boxes_of_its_own_frame() -> None:
    stills = Stills(FakeClock())
    stills.take(frame(5))
    made = stills.result(result(5), SIZES)
    assert set(made) == set(SIZES)
    boxes, image = parts(made["large"])
    assert (boxes["boxes"][0][0], number_of(image)) == (5.0, 5)


def test_another_frame_is_chosen_if_the_first_was_not_inferred() -> None:
    stills = Stills(FakeClock())
    stills.wants = False
    stills.take(frame(5))
    assert (stills.result(result(4), SIZES), stills.wants) == ({}, False)
    assert (stills.result(result(7), SIZES), stills.wants) == ({}, True)
    stills.take(frame(8))
    boxes, image = parts(stills.result(result(8), SIZES)["tile"])
    assert (boxes["boxes"][0][0], number_of(image)) == (8.0, 8)


def test_a_frame_without_a_result_is_shown_without_boxes() -> None:
    clock = FakeClock()
    stills = Stills(clock)
    stills.take(frame(5))
    assert stills.look(SIZES) == {}
    clock.advance(1.0)
    boxes, image = parts(stills.look(SIZES)["tile"])
    assert (boxes, number_of(image)) == (None, 5)


def test_stills_come_once_per_second() -> None:
    clock = FakeClock()
    stills = Stills(clock)
    count = 0
    for number in range(250):
        clock.advance(0.04)
        stills.look(SIZES)
        if stills.wants:
            stills.wants = False
            stills.take(frame(number))
            count += len(stills.result(result(number), TILE))
    assert 10 <= count <= 11


def test_large_frames_are_reduced_and_small_ones_are_not_enlarged() -> None:
    stills = Stills(FakeClock())
    stills.take(frame(1, (1920, 1080)))
    made = stills.result(result(1), SIZES)
    assert [parts(made[size])[1].shape[1] for size in SIZES] == [LONGEST[size] for size in SIZES]
    stills.take(frame(2, (320, 240)))
    assert parts(stills.result(result(2), LARGE)["large"])[1].shape == (240, 320)


class Unreadable:
    """A frame that the GPU does not give."""

    width, height = 320, 240
    format = SimpleNamespace(name="cuda")

    def reformat(self, *_: object, **__: object) -> None:
        raise OSError("the driver refuses")


def test_a_frame_that_cannot_be_read_is_left_out() -> None:
    stills = Stills(FakeClock())
    stills.take(replace(frame(1), picture=cast("Any", Unreadable())))
    assert stills.result(result(1), SIZES) == {}
    stills.take(frame(2))
    assert set(stills.result(result(2), SIZES)) == set(SIZES)


def test_a_frame_that_cannot_be_encoded_is_left_out() -> None:
    picture = Unreadable()
    picture.format = SimpleNamespace(name="yuv420p")
    clock = FakeClock()
    stills = Stills(clock)
    stills.take(replace(frame(1), picture=cast("Any", picture)))
    assert stills.result(result(1), SIZES) == {}
    clock.advance(1.0)
    stills.look(SIZES)
    assert stills.wants
