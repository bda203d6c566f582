from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from tests.footage.pictures import picture

from framelane.footage.jpegs import Note, _jpeg, annotated, encoded, note_of, with_note

NOTE = Note(
    event="e",
    kind="end",
    node="gate-01",
    stream="lobby",
    object="gate-01/lobby/run/1",
    label="Fußgänger <b>",
    rule=None,
    at=1.5,
    seen_at=1.25,
    pts=0.25,
    confidence=0.75,
    frame=(320, 240),
    box=(100.0, 80.0, 200.0, 200.0),
    region=(0, 0, 320, 240),
)


def image_of(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image)


@pytest.mark.parametrize(("longest", "size_hw"), [(None, (240, 320)), (1000, (240, 320)), (100, (75, 100))])
def test_image_is_reduced_and_never_enlarged(longest: int | None, size_hw: tuple[int, int]) -> None:
    assert image_of(encoded(picture(), 85, longest)).shape == (*size_hw, 3)


def test_note_is_read_back_and_image_readers_ignore_it() -> None:
    plain = encoded(picture(boxes=[(10, 10, 60, 90)]), 85)
    data = with_note(plain, NOTE)
    note = note_of(data[:4096])
    assert note == {**NOTE, "frame": [320, 240], "box": list(NOTE["box"]), "region": list(NOTE["region"])}
    assert np.array_equal(image_of(data), image_of(plain))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xfe\x00\x05{}x",
        b"\xff\xd8\xff\xfe\x00\x04[]",
        b"\xff\xd8\xff\xfe\x00\x04{}",
        b"\xff\xd8\xff\xfe\xff\xff{",
        b"\xff\xd8" + 40 * b"\xff\xe1\x00\x02",
        bytes(100),
        encoded(picture(), 85),
    ],
)
def test_other_files_have_no_note(data: bytes) -> None:
    assert note_of(data) is None


@pytest.mark.parametrize("region", [(0, 0, 320, 240), (100, 80, 200, 200), (90, 60, 210, 220)])
def test_box_is_drawn_where_the_object_is(region: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = region
    gray = encoded(picture(), 95)
    height, width = bottom - top, right - left
    plain = cv2.imencode(".jpg", image_of(gray)[:height, :width], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    drawn = image_of(annotated(with_note(plain, {**NOTE, "region": region}), 95)).astype(int)
    changed = np.abs(drawn - 120).max(axis=2) > 40
    x1, y1, x2, y2 = 100 - left, 80 - top, 200 - left, 200 - top
    assert changed[y1 + 40 : y2, x1].mean() > 0.9
    assert changed[y1 + 40 : y2, x2 - 1].mean() > 0.9
    assert changed[y2 - 1, x1:x2].mean() > 0.9
    assert not changed[y1 + 40 : y2 - 10, x1 + 10 : x2 - 10].any()


def test_image_without_a_note_stays_as_it_is_and_damage_is_told() -> None:
    data = encoded(picture(), 85)
    assert annotated(data, 85) == data
    cut = with_note(data, NOTE)[:700]
    with pytest.raises(ValueError, match="no JPEG"):
        annotated(cut, 85)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (av.VideoFrame(0, 0, "yuv420p"), "FFmpeg can't convert this frame"),
        (av.VideoFrame(70_000, 2, "yuv420p"), "OpenCV can't encode this image"),
    ],
    ids=["no pixels", "more than JPEG can hold"],
)
def test_frame_that_cannot_become_a_jpeg_is_a_value_error(frame: av.VideoFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoded(frame, 85)


def test_what_opencv_raises_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="OpenCV can't encode this image"):
        _jpeg(np.zeros((0, 4, 3), np.uint8), 85)
