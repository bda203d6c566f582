"""Boxes and the scores of all classes from separate outputs, by the kernels, against the CPU path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.inference.backends.cuda.both_paths import (
    CELLS,
    INPUT,
    BothPaths,
    at_least,
    crowd,
    head_of,
    output_of,
)

from framelane.models.heads.class_filter import ClassFilter
from framelane.models.heads.rfdetr import COCO_IDS, RfDetrHead

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tests.gpu.machines import Machine

    Array = NDArray[np.float32]

NAMES = ("yolo-nas", "rf-detr", "rtdetr-scores")
BOXES = [[0.5, 0.5, 0.2, 0.2], [0.3, 0.3, 0.1, 0.1]]


def queries(machine: Machine, logits: list[list[float]], columns: tuple[int, ...]) -> BothPaths:
    """Two boxes of RF-DETR with these logits."""
    output = np.concatenate([np.array(BOXES), np.array(logits)], axis=1)[None].astype(np.float32)
    head = RfDetrHead("rf-detr", INPUT, 0, 1, columns)
    return BothPaths(machine, head, output, [at_least(0.3, len(columns))])


@pytest.mark.parametrize("classes", [1, 31, 32, 33, 80, 294])
@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_classes(machine: Machine, name: str, classes: int) -> None:
    rng = np.random.default_rng(classes)
    output = output_of(name, *crowd(rng, 70, classes, levels=16))
    thresholds = rng.choice(np.array([0.2, 0.5, np.inf], np.float32), classes)
    thresholds[-1] = 0.2
    BothPaths(machine, head_of(name, classes), output, [ClassFilter.of(thresholds)]).check()


@pytest.mark.parametrize("anchors", [1, 255, 256, 257, 300, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_rows(machine: Machine, name: str, anchors: int) -> None:
    output = output_of(name, *crowd(np.random.default_rng(anchors), anchors, 3))
    case = BothPaths(machine, head_of(name, 3), np.repeat(output, 2, axis=0), [at_least(0.05, 3)] * 2)
    assert len(case.check()[1]) > 0


@pytest.mark.parametrize("dtypes", [("float32", "float16"), ("float16", "float32")])
@pytest.mark.parametrize("name", ["yolo-nas", "rf-detr"])
def test_boxes_and_scores_have_types_of_their_own(
    machine: Machine, name: str, dtypes: tuple[str, str]
) -> None:
    output = output_of(name, *crowd(np.random.default_rng(2), CELLS, 3)).astype(np.float16)
    case = BothPaths(machine, head_of(name, 3), output, [at_least(0.3, 3)], dtypes=dtypes)
    assert len(case.check()[0]) > 3


def test_columns_of_no_class_are_passed_over(machine: Machine) -> None:
    logits = np.full((2, 91), -9.0)
    logits[:, 0] = logits[:, 12] = 50
    logits[0, 90] = logits[1, 13] = 2
    found = queries(machine, logits.tolist(), COCO_IDS).check()[0]
    assert found.class_id.tolist() == [COCO_IDS.index(90), COCO_IDS.index(13)]


def test_the_larger_logit_wins_when_both_scores_are_one(machine: Machine) -> None:
    found = queries(machine, [[20, 30, -9, 99], [-9, 40, 40, 99]], (0, 1, 2)).check()[0]
    assert found.confidence.tolist() == [1, 1]
    assert found.class_id.tolist() == [1, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(3))
def test_a_broken_logit_costs_its_own_row_alone(machine: Machine, value: float, column: int) -> None:
    logits = [[1.0, 2.0, 3.0, 99], [1.0, 2.0, 3.0, 99]]
    logits[0][column] = value
    found = queries(machine, logits, (0, 1, 2)).check()[0]
    assert np.isfinite(found.confidence).all()
    assert 2 in found.class_id


def test_no_query_stays_when_all_logits_are_minus_infinity(machine: Machine) -> None:
    assert len(queries(machine, [[-np.inf] * 4] * 2, (0, 1, 2)).check()[0]) == 0
