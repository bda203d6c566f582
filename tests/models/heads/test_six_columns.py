"""What rows of six values may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models.heads.scenes import (
    sample_of,
    table,
    wanting,
)

from framelane.models.heads.six_columns import SixColumns, fits_six, pick_labeled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


LABELED = {"empty": False, "labeled": True, "swapped": False, "unit": False, "corners": True}


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        pytest.param([[10, 20, 30, 40, 0.5, 2]], {}, id="corners, score and class"),
        pytest.param([[10, 20, 30, 40, 2, 0.5]], {"labeled": False, "swapped": True}, id="class and score"),
        pytest.param([[10, 20, 30, 40, 0.5, 0.25]], {"labeled": False}, id="two scores"),
        pytest.param([[30, 40, 10, 20, 0.5, 2]], {"corners": False}, id="centers and sizes"),
        pytest.param([[0.1, 0.2, 0.3, 0.4, 0.5, 2]], {"unit": True}, id="fractions"),
        pytest.param([[0.1, 0.2, 0.3, 1.5, 0.5, 2]], {"unit": True}, id="just fractions"),
        pytest.param([[0.1, 0.2, 0.3, 1.51, 0.5, 2]], {}, id="just pixels"),
        pytest.param([[0, 0, 0, 0, 0, -1], [10, 20, 30, 40, 0.5, 2]], {}, id="with an empty row"),
        pytest.param([[np.nan, 0, 0, 0, 0, 0.5], [10, 20, 30, 40, 0.5, 2]], {}, id="with a broken row"),
        pytest.param([[0, 0, 0, 0, 0.5, 0]], {"empty": True}, id="empty"),
        pytest.param([[np.inf] * 6], {"empty": True}, id="broken"),
        pytest.param([[1, 1, 2, 2, 0.5, 0], [2, 2, 1, 1, 0.5, 0]], {}, id="half ordered, in pixels"),
        pytest.param(
            [[0.1, 0.1, 0.2, 0.2, 0.5, 0]] * 9 + [[0.2, 0.2, 0.1, 0.1, 0.5, 0]],
            {"unit": True, "corners": False},
            id="nine of ten ordered, as fractions",
        ),
        pytest.param([[10, 20, 30, 40, 0.5, -2]], {"labeled": False}, id="a class below -1"),
    ],
)
def test_six_columns_are_told_by_their_values(rows: list[list[float]], changes: dict[str, bool]) -> None:
    assert SixColumns(**{**LABELED, **changes}) == SixColumns.of(sample_of(table(*rows)).outputs[0])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 300, 6), True), ((1, 6, 300), False), ((300, 6), False), ((1, 300, 7), False)],
)
def test_fits_six_goes_by_the_last_dimension(shape: tuple[int, ...], *, expected: bool) -> None:
    sample = sample_of(np.zeros(shape, np.float32))
    assert expected is fits_six(sample, sample.outputs[0])


def test_pick_labeled_goes_by_the_threshold_of_each_class() -> None:
    scores = [(0.5, 0), (0.49, 0), (0.3, 1), (0.9, 2), (0.9, -1), (0.9, 1.9)]
    rows = np.array([[0, 0, 1, 1, *each] for each in scores], np.float32)
    index, confidence, class_id = pick_labeled(rows[:, 4], rows[:, 5], wanting(0.5, 0.25))
    assert index.tolist() == [0, 2, 5]
    assert (confidence.tolist(), class_id.tolist()) == (pytest.approx([0.5, 0.3, 0.9]), [0, 1, 1])
