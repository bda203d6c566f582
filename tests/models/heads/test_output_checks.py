"""Outputs that can't be right, and odd ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import (
    SCENE,
)

from framelane.models.heads import end_to_end, yolov8, yolox
from framelane.models.heads.kind import Output, Sample
from framelane.models.heads.output_checks import doubts, fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def columns(score: float = 0.5, box: float = 60.0) -> Array:
    found = np.full((1, 7, 420), score, np.float32)
    found[:, :4] = box
    return found


def trials(*values: Array, kind: Any = yolov8.KIND) -> tuple[Any, Sample]:
    """A head, and a sample of several trial images."""
    output = Output(0, "output0", values)
    sample = Sample("FILE", (160, 128), "float32", {}, (output,), 3)
    return kind.make(sample, output), sample


SCORES = "output0 [1, 7, 420] holds scores"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([columns()], None),
        ([columns(-0.049), columns(1.049)], None),
        ([columns(np.nan), columns()], None),
        (
            [columns(np.nan), columns(np.inf)],
            (
                f"{SCORES} that are NaN (not a number) or infinite for every trial picture; "
                "export the model again, in float32"
            ),
        ),
        (
            [columns(0.5), columns(-3.25)],
            (
                f"{SCORES} from -3.25 to 0.5, not from 0 to 1: they look like logits, or like what "
                "segmentation and pose models add; export a detector, with the sigmoid of its scores"
            ),
        ),
        ([columns(1.06)], f"{SCORES} from 1.06 to 1.06, not from 0 to 1"),
        (
            [columns(box=0.5), columns(box=1.5)],
            (
                "output0 [1, 7, 420] holds boxes within 0..1, but the head `yolov8` reads pixels of a 160x128 picture; "
                "export the model with boxes in pixels"
            ),
        ),
        ([columns(box=0.49)], None),
        ([columns(box=1.0), columns(box=1.51)], None),
        ([columns(box=np.nan)], None),
    ],
)
def test_fault_tells_what_can_not_be_right(values: list[Array], expected: str | None) -> None:
    found = fault(*trials(*values))
    assert (found is None) is (expected is None)
    assert expected is None or str(found).startswith(expected)


def test_fault_asks_for_no_pixels_where_boxes_are_not_in_pixels() -> None:
    assert fault(*trials(tiny_models.yolox_raw(SCENE), kind=yolox.KIND)) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([columns(), columns()], ()),
        ([columns(0.0), columns()], ()),
        (
            [columns(np.nan), columns(), columns()],
            (
                (
                    "output0 [1, 7, 420] holds NaN (not a number) for 1 of 3 trial pictures; "
                    "export it in float32, or set `precision: fp32`"
                ),
            ),
        ),
        (
            [columns(0.0), columns(0.0)],
            (
                (
                    "all scores in output0 [1, 7, 420] are 0 for every trial picture, so it may find nothing at all; "
                    "check whether quantization or conversion has broken it"
                ),
            ),
        ),
    ],
)
def test_doubts_tell_what_is_odd(values: list[Array], expected: tuple[str, ...]) -> None:
    assert expected == doubts(*trials(*values))


def test_doubts_tell_that_a_layout_can_not_be_checked_when_nothing_is_found() -> None:
    assert doubts(*trials(tiny_models.end2end([]), kind=end_to_end.KIND)) == (
        (
            "output0 [1, 300, 6] holds no detections for any trial picture, "
            "so its layout and batches can't be checked; "
            "make sure that it finds something on your own pictures"
        ),
    )
