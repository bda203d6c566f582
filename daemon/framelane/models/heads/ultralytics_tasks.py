"""Recognizes Ultralytics' models for other tasks than detection: masks, points, rotated boxes.

Each has the layout of `yolov8` or of `end2end`, with more values for each prediction, and mask prototypes in
another output. The exporter's notes tell what these values are, or else the trial images do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from framelane.models.heads.end_to_end import EndToEndHead
from framelane.models.heads.keypoints import Keypoints, keypoints_in, noted_keypoints
from framelane.models.heads.kind import BOX, MAPS_RANK, RANK, HeadKind, rgb_input
from framelane.models.heads.masks import PrototypeMasks
from framelane.models.heads.rotation import Rotation
from framelane.models.heads.six_columns import CLASS, COLUMNS, SCORE, are_classes, are_scores
from framelane.models.heads.yolov8 import YoloV8Head

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.models.heads.kind import Output, Sample

    Array = NDArray[np.float32]

SEGMENT, POSE, OBB = "segment", "pose", "obb"
TASKS = ("detect", SEGMENT, POSE, OBB)
_STRIDES = (2, 4, 8)
# Shares of the image's shorter side beyond which points lie in some row: of all cells, or of those found.
_ALL_OVER, _SOMEWHERE = 1 / 8, 1 / 32
_ANGLE = 1
_MOST_CLASSES = 1000
# Raw angles are not limited to one turn, but stay near it.
_MOST_ANGLE = 4 * np.pi


def prototypes_of(sample: Sample) -> tuple[Output, int] | None:
    """Return the output with mask prototypes [N, M, h, w], and input pixels per pixel of them; None if none."""
    for output in sample.outputs:
        if len(output.shape) != MAPS_RANK:
            continue
        height, width = output.shape[2:]
        for stride in _STRIDES:
            if (width * stride, height * stride) == sample.size_wh:
                return output, stride
    return None


def _columns(output: Output) -> Array:
    """Return the predictions of [N, values, A] as rows [R, values], for all trial images together."""
    values = output.shape[1]
    return np.concatenate([trial[0].T.reshape(-1, values) for trial in output.trials])


def _masks(sample: Sample) -> tuple[PrototypeMasks, int]:
    """Return the details of a model with prototypes, and how many weights a prediction has."""
    found = prototypes_of(sample)
    assert found is not None  # noqa: S101 - `fits` asked
    output, stride = found
    return PrototypeMasks(output.number, stride), output.shape[1]


def _fits_columns(output: Output, extra: int) -> bool:
    shape = output.shape
    return len(shape) == RANK and BOX + extra < shape[1] <= shape[2]


def _fits_rows(output: Output, extra: int) -> bool:
    shape = output.shape
    return len(shape) == RANK and shape[2] == COLUMNS + extra and shape[1] > 0


def _labeled(rows: Array) -> bool:
    """Return whether rows begin with a box, a score and a class."""
    return are_scores(rows[:, SCORE]) and are_classes(rows[:, CLASS])


# Masks.


def _fits_segment(sample: Sample, output: Output) -> bool:
    found = prototypes_of(sample)
    return found is not None and _fits_columns(output, found[0].shape[1])


def _shows_segment(sample: Sample, output: Output) -> bool:
    """Return whether the last values are weights, which may be negative and exceed 1, unlike scores."""
    if sample.task is not None:
        return True
    weights = _columns(output)[:, -_masks(sample)[1] :]
    return not are_scores(weights)


def _make_segment(sample: Sample, output: Output) -> YoloV8Head:
    masks, weights = _masks(sample)
    classes = output.shape[1] - BOX - weights
    return YoloV8Head(rgb_input(sample), classes, output.number, masks, "yolov8-seg")


def _fits_segment_rows(sample: Sample, output: Output) -> bool:
    found = prototypes_of(sample)
    return found is not None and _fits_rows(output, found[0].shape[1])


def _shows_rows(_sample: Sample, output: Output) -> bool:
    return _labeled(output.rows)


def _make_segment_rows(sample: Sample, output: Output) -> EndToEndHead:
    return EndToEndHead(rgb_input(sample), output.number, details=_masks(sample)[0], name="end2end-seg")


# Points.


def _points(sample: Sample, output: Output) -> tuple[int, Keypoints] | None:
    """Return classes and points of [N, 4+classes+points, A]; None if it holds no points."""
    values = output.shape[1] - BOX
    noted = noted_keypoints(sample.metadata)
    if noted is not None:
        return (values - noted.columns, noted) if values > noted.columns else None
    rows = _columns(output)[:, BOX:]
    counts = range(1, min(values, _MOST_CLASSES))
    likely = sample.names if sample.names in counts else None
    # Scores come first, so points begin at the first value that is none.
    beyond = ~((rows >= 0) & (rows <= 1)).all(axis=0)
    first = int(beyond.argmax()) if beyond.any() else 0
    for classes in (likely, first):
        if classes and are_scores(rows[:, :classes]):
            found = keypoints_in(rows[:, classes:], _ALL_OVER * min(sample.size_wh))
            if found is not None:
                return classes, found
    return None


def _fits_pose(sample: Sample, output: Output) -> bool:
    return _fits_columns(output, 0) and _points(sample, output) is not None


def _shows_pose(sample: Sample, output: Output) -> bool:
    return sample.task is not None or _points(sample, output) is not None


def _make_pose(sample: Sample, output: Output) -> YoloV8Head:
    found = _points(sample, output)
    assert found is not None  # noqa: S101 - `fits` asked
    return YoloV8Head(rgb_input(sample), found[0], output.number, found[1], "yolov8-pose")


def _row_points(sample: Sample, output: Output) -> Keypoints | None:
    """Return the points of [N, K, 6+points]; None if it holds none."""
    if len(output.shape) != RANK or output.shape[2] <= COLUMNS:
        return None
    noted = noted_keypoints(sample.metadata)
    if noted is not None:
        return noted if output.shape[2] == COLUMNS + noted.columns else None
    rows = output.rows
    found = rows[rows[:, SCORE] > 0]
    return keypoints_in(found[:, COLUMNS:], _SOMEWHERE * min(sample.size_wh)) if len(found) else None


def _fits_pose_rows(sample: Sample, output: Output) -> bool:
    return _row_points(sample, output) is not None


def _make_pose_rows(sample: Sample, output: Output) -> EndToEndHead:
    points = _row_points(sample, output)
    return EndToEndHead(rgb_input(sample), output.number, details=points, name="end2end-pose")


# Rotated boxes.


def _fits_obb(_sample: Sample, output: Output) -> bool:
    return _fits_columns(output, _ANGLE)


def _shows_obb(sample: Sample, output: Output) -> bool:
    """Return whether the last value is an angle, which may be negative, after as many scores as names."""
    if sample.task is not None:
        return True
    rows = _columns(output)
    named = sample.names is not None and output.shape[1] == BOX + sample.names + _ANGLE
    angles = rows[:, -1]
    return named and not are_scores(angles) and bool((np.abs(angles) <= _MOST_ANGLE).all())


def _make_obb(sample: Sample, output: Output) -> YoloV8Head:
    classes = output.shape[1] - BOX - _ANGLE
    return YoloV8Head(rgb_input(sample), classes, output.number, Rotation(), "yolov8-obb")


def _fits_obb_rows(_sample: Sample, output: Output) -> bool:
    return _fits_rows(output, _ANGLE)


def _shows_obb_rows(sample: Sample, output: Output) -> bool:
    """Return whether rows are labeled and end with an angle; boxes must be pixels, not parts of the image.

    Rows for each cell are those of a detector of two classes, whose scores may all be 0.
    """
    rows = output.rows
    pixels = bool(np.abs(rows[:, :SCORE]).max(initial=0) > 1 + SCORE)
    angles = bool((np.abs(rows[:, COLUMNS]) <= _MOST_ANGLE).all())
    final = not sample.on_grid(output.shape[1])
    return _labeled(rows) and (sample.task is not None or (final and pixels and angles))


def _make_obb_rows(sample: Sample, output: Output) -> EndToEndHead:
    return EndToEndHead(rgb_input(sample), output.number, details=Rotation(), name="end2end-obb")


KINDS = (
    HeadKind(
        "end2end-seg", "[N, K, 6+M] with prototypes [N, M, h, w]",
        _fits_segment_rows, _shows_rows, _make_segment_rows, SEGMENT,
    ),
    HeadKind(
        "yolov8-seg", "[N, 4+classes+M, anchors] with prototypes [N, M, h, w]",
        _fits_segment, _shows_segment, _make_segment, SEGMENT,
    ),
    HeadKind(
        "end2end-pose", "[N, K, 6+points]", _fits_pose_rows, _shows_rows, _make_pose_rows, POSE,
    ),
    HeadKind(
        "yolov8-pose", "[N, 4+classes+points, anchors]", _fits_pose, _shows_pose, _make_pose, POSE,
    ),
    HeadKind(
        "end2end-obb", "[N, K, 7], cx cy w h score class angle",
        _fits_obb_rows, _shows_obb_rows, _make_obb_rows, OBB,
    ),
    HeadKind(
        "yolov8-obb", "[N, 4+classes+1, anchors], angle last", _fits_obb, _shows_obb, _make_obb, OBB,
    ),
)  # fmt: skip
