"""Comparing detections: matching, shares and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from framelane.core.errors import ModelError
from framelane.core.frames import Detections
from framelane.measure.verify import Verification, agree, pictures_in

if TYPE_CHECKING:
    from pathlib import Path


def found(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32))


def test_equal_detections_agree() -> None:
    one = found((0, 0, 10, 10, 0.9, 0), (20, 20, 40, 40, 0.5, 1))
    result = agree([one], [one])
    assert (result.loose, result.tight, result.same, result.score_mean) == (1.0, 1.0, 1.0, 0.0)


def test_class_overlap_and_score_count() -> None:
    reference = found((0, 0, 10, 10, 0.9, 0), (20, 20, 40, 40, 0.5, 1), (60, 60, 70, 70, 0.4, 2))
    other = found((0, 0, 10, 10, 0.8, 0), (22, 20, 42, 40, 0.5, 1), (60, 60, 70, 70, 0.4, 3))
    result = agree([reference], [other])
    assert (result.reference, result.other) == (3, 3)
    assert result.loose == pytest.approx(2 / 3)
    assert result.tight == pytest.approx(1 / 3)
    assert result.same == 0
    assert (result.score_largest, result.score_mean) == (pytest.approx(0.1), pytest.approx(0.05))


@pytest.mark.parametrize(("edge", "score", "same"), [(1000, 0.904, 1), (1000, 0.906, 0), (1011, 0.9, 0)])
def test_the_same_box_is_one_at_the_same_place_with_the_same_score(
    edge: float, score: float, same: int
) -> None:
    result = agree([found((0, 0, 1000, 1000, 0.9, 0))], [found((0, 0, edge, 1000, score, 0))])
    assert (result.tight, result.same) == (1, same)


def test_a_box_has_one_partner_only() -> None:
    result = agree([found((0, 0, 10, 10, 0.9, 0))], [found((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 9, 0.8, 0))])
    assert result.loose == pytest.approx(2 / 3)


def test_nothing_found_by_either_is_agreement() -> None:
    assert agree([found()], [found()]).loose == 1.0
    assert agree([found()], [found((0, 0, 1, 1, 0.5, 0))]).loose == 0.0


def test_the_verdict_is_by_the_share_at_half_overlap() -> None:
    half = agree([found((0, 0, 10, 10, 0.9, 0))], [found((0, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.9, 0))])
    assert Verification((), half, 0.6).passed
    assert not Verification((), half, 0.7).passed
    assert Verification((), half, 0.7).as_dict()["passed"] is False


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no images"):
        pictures_in(tmp_path, 8)
