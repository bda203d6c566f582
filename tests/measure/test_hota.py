"""HOTA against motrics, which agrees with TrackEval."""

from __future__ import annotations

from dataclasses import astuple

import motrics
import numpy as np
import pytest

from framelane.measure.hota import Hota, TrackFrame, hota

NOTHING = TrackFrame(np.zeros(0, np.int64), np.zeros((0, 4)))


def clip(seed: int, frames: int = 40, objects: int = 9) -> tuple[list[TrackFrame], list[TrackFrame]]:
    """True objects that walk, and tracks that jitter, miss some and change their ids now and then."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 200, (objects, 2))
    truth, tracks = [], []
    for number in range(frames):
        place += rng.normal(0, 4, place.shape)
        boxes = np.concatenate((place, place + 40), axis=1)
        there, seen = rng.random(objects) < 0.8, rng.random(objects) < 0.7
        ids = np.arange(objects) + 100 * (number // 15) * (np.arange(objects) % 3 == 0)
        truth.append(TrackFrame(np.flatnonzero(there), boxes[there]))
        tracks.append(TrackFrame(ids[seen], boxes[seen] + rng.normal(0, 6, (int(seen.sum()), 4))))
    return truth, tracks


@pytest.mark.parametrize("seed", range(4))
def test_hota_is_that_of_motrics(seed: int) -> None:
    truth, tracks = clip(seed)
    wanted = motrics.evaluate(
        *(
            motrics.Frames([each.ids.tolist() for each in one], [each.xyxy.tolist() for each in one])
            for one in (truth, tracks)
        )
    ).hota
    assert astuple(hota(truth, tracks)) == pytest.approx((wanted.hota, wanted.deta, wanted.assa))


def test_perfect_tracks_have_all_and_none_have_nothing() -> None:
    truth, tracks = clip(1)
    assert astuple(hota(truth, truth)) == pytest.approx((1.0, 1.0, 1.0))
    nothing = [NOTHING] * len(truth)
    assert hota(truth, nothing) == hota(nothing, tracks) == hota(nothing, nothing) == Hota(0, 0, 0)
