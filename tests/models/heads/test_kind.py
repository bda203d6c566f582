from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models.heads.scenes import sample_of

from framelane.models.heads.kind import Output, bgr_input, rgb_input

if TYPE_CHECKING:
    from numpy.typing import NDArray


def output(*trials: NDArray[np.float32], name: str = "output0") -> Output:
    return Output(0, name, trials)


def test_rows_are_those_of_all_trials() -> None:
    first, second = np.zeros((1, 2, 3), np.float32), np.ones((1, 1, 3), np.float32)
    assert output(first, second).rows.tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert str(output(first)) == "output0 [1, 2, 3]"


def test_outputs_are_the_same_when_all_trials_are_whatever_their_names() -> None:
    zeros, ones = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    assert output(zeros, ones).same_as(output(zeros.copy(), ones.copy(), name="other"))
    assert not output(zeros, ones).same_as(output(zeros, zeros))
    assert not output(zeros).same_as(output(np.zeros((1, 3), np.float32)))


@pytest.mark.parametrize(
    ("metadata", "expected"), [({}, False), ({"end2end": "True"}, True), ({"end2end": "false"}, False)]
)
def test_end2end_is_what_the_exporter_noted(metadata: dict[str, str], *, expected: bool) -> None:
    assert expected is sample_of(np.zeros((1, 1), np.float32), metadata=metadata).end2end


@pytest.mark.parametrize(("rows", "expected"), [(420, True), (1260, True), (840, False), (300, False)])
def test_on_grid_takes_one_or_three_per_cell(rows: int, *, expected: bool) -> None:
    assert expected is sample_of().on_grid(rows)


def test_trials_hold_all_outputs_of_one_image() -> None:
    sample = sample_of(np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32))
    ((first, second),) = sample.trials
    assert (first.item(), second.item()) == (0, 1)


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1 / 255), ("float16", 1 / 255), ("uint8", 1.0)])
def test_inputs_are_those_of_the_training_code(dtype: Any, scale: float) -> None:
    sample = sample_of(dtype=dtype)
    rgb, bgr = rgb_input(sample), bgr_input(sample)
    assert (rgb.color, rgb.scale, rgb.placement, rgb.dtype) == ("rgb", scale, "center", dtype)
    assert (bgr.color, bgr.scale, bgr.placement, bgr.dtype) == ("bgr", 1.0, "topleft", dtype)
