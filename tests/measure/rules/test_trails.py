"""Paths of objects, in bounded memory."""

from __future__ import annotations

import av
import numpy as np

from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.measure.rules.trails import Trails


def result(*tracks: tuple[int, float]) -> Result:
    """Boxes of 10 x 10 pixels with these track ids, at these x."""
    xyxy = np.array([[x, 0, x + 10, 10] for _, x in tracks], np.float32).reshape(-1, 4)
    ids = np.array([track for track, _ in tracks], np.int64)
    found = Detections(xyxy, np.ones(len(ids), np.float32), np.zeros(len(ids), np.int32), ids)
    info = FrameInfo("gate", 0, 0.0, 0.0, "media", 0.0, 1000, 500)
    return Result(info, ModelInfo("m", "0" * 12, "test", ("person",)), found, 0.0, 0.0)


def test_trails_keep_the_first_of_the_frames_with_the_most_objects() -> None:
    trails = Trails()
    pictures = [av.VideoFrame(1000, 500) for _ in range(3)]
    trails.note(pictures[0], result((1, 100)))
    trails.note(pictures[1], result((1, 200), (2, 300), (-1, 400)))
    trails.note(pictures[2], result((1, 201), (2, 400)))
    assert trails.picture is pictures[1]
    assert [each[:2] for each in trails.boxes] == [(("m", 1), "person"), (("m", 2), "person")]
    # A step of one pixel is left out.
    assert trails.by_track[("m", 1)] == [(105.0, 10.0), (205.0, 10.0)]


def test_trails_stay_small_in_a_long_clip() -> None:
    trails = Trails()
    picture = av.VideoFrame(1000, 500)
    for number in range(2000):
        trails.note(picture, result((1, number % 900), (number, 0)))
    assert len(trails.by_track) == 300
    assert max(map(len, trails.by_track.values())) <= 256
    assert ("m", 1999) in trails.by_track
