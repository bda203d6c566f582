"""Result arrays become detections of their own."""

from __future__ import annotations

import numpy as np

from framelane.inference.backends.cuda.results import detections


def test_detections_are_copies_of_what_was_written() -> None:
    results = np.full((3, 1 + 6 * 4), np.nan, np.float32)
    results[0, :13] = [2, 1, 2, 3, 4, 0.75, 5, 6, 7, 8, 9, 0.5, 79]
    results[1, 0] = 0
    found = detections(results, 2)
    results[:] = -1
    assert [len(one) for one in found] == [2, 0]
    assert found[0].xyxy.tolist() == [[1, 2, 3, 4], [6, 7, 8, 9]]
    assert found[0].confidence.tolist() == [0.75, 0.5]
    assert found[0].class_id.tolist() == [5, 79]
    assert found[1].xyxy.shape == (0, 4)
    for one in found:
        assert (one.xyxy.dtype, one.confidence.dtype, one.class_id.dtype) == (
            np.float32,
            np.float32,
            np.int32,
        )
        assert one.xyxy.flags.c_contiguous
        assert one.xyxy.base is None


def test_a_full_picture_fits() -> None:
    results = np.ones((1, 1 + 6 * 300), np.float32)
    results[0, 0] = 300
    assert len(detections(results, 1)[0]) == 300
