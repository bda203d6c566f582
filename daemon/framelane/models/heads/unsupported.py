"""Layouts that Framelane recognizes but does not read, each with a sentence about it."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from framelane.models.heads.kind import BOX, RANK, Output
from framelane.models.heads.rows import SCORES
from framelane.models.heads.six_columns import COLUMNS, SixColumns, are_classes, are_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.models.heads.head import Head
    from framelane.models.heads.kind import Sample

_PLAIN = "export the model without suppression (NMS) in the graph"
# Image, four of a box, class, score.
_LISTED = 7
_MOST_QUERIES = 1000
# Heads that read rows with an objectness.
_ROWS = ("yolov5", "yolox", "yolox-decoded")


def unread(sample: Sample) -> str | None:
    """Return the layout of all outputs together, as a sentence, if a head would misread a part of it."""
    turned = (_turned_six(sample, output) for output in sample.outputs)
    return _apart(sample) or next(filter(None, turned), None)


def misfit(sample: Sample, outputs: Sequence[Output]) -> str | None:
    """Return the layout of an output that no head reads, as a sentence; None if it is unknown."""
    for output in outputs:
        found = (
            _broken(output)
            or _without_images(sample, output)
            or _scored(sample, output)
            or _odd_rows(sample, output)
            or _listed(output)
            or _maps(output)
        )
        if found is not None:
            return found
    return None


def transposed(sample: Sample, head: Head) -> str | None:
    """Return why a head has one class more or fewer than there are names: rows and columns may be swapped."""
    output = sample.outputs[head.output]
    if sample.names is None or head.classes is None or len(output.shape) != RANK:
        return None
    _, first, last = output.shape
    if head.name == "yolov8" and first == SCORES + sample.names:
        wanted = f"[N, {last}, {SCORES}+{sample.names}]"
    elif head.name in _ROWS and last == BOX + sample.names:
        wanted = f"[N, {BOX}+{sample.names}, {first}]"
    else:
        return None
    return (
        f"{output} looks transposed: for {sample.names} class names it should be {wanted}, "
        f"and as it is the head `{head.name}` reads {head.classes} classes from it; "
        "export the model without the last transposition, or correct `labels` if the names are wrong"
    )


def _apart(sample: Sample) -> str | None:
    """Recognize boxes in one output and scores in another, with as many predictions."""
    for boxes, scores in permutations(sample.outputs, 2):
        predictions = _predictions_of_boxes(boxes)
        if predictions is not None and predictions in scores.shape[1:] and not _complete(sample, scores):
            known = _are_queries(boxes, scores)
            named = "; if it is RF-DETR, set `head: rf-detr`, which goes by the names `dets` and `labels`"
            return (
                f"boxes and scores are separate outputs ({boxes} and {scores}); "
                f"export the model with one output that holds both{named if known else ''}"
            )
    return None


def _are_queries(boxes: Output, scores: Output) -> bool:
    """Return whether boxes are fractions and scores logits, as RF-DETR gives them, under whatever names."""
    rows = len(scores.shape) == RANK and scores.shape[:2] == boxes.shape[:2]
    return rows and are_scores(boxes.rows) and not are_scores(scores.rows)


def _complete(sample: Sample, output: Output) -> bool:
    """Return whether an output has room for boxes besides the scores of all names."""
    names = sample.names
    return names is not None and not {BOX + names, SCORES + names}.isdisjoint(output.shape[1:])


def _predictions_of_boxes(output: Output) -> int | None:
    """Return how many boxes of four numbers an output holds, if it holds nothing else."""
    shape = output.shape[:2] + output.shape[3:] if output.shape[2:3] == (1,) else output.shape
    if len(shape) != RANK or BOX not in shape[1:]:
        return None
    return shape[1] if shape[2] == BOX else shape[2]


def _broken(output: Output) -> str | None:
    if all(trial.size and not np.isfinite(trial).any() for trial in output.trials):
        return f"{output} holds nothing but NaN (not a number); export the model again, in float32"
    return None


def _without_images(sample: Sample, output: Output) -> str | None:
    """Recognize boxes [K, 4] and lists [K], as torchvision exports them: one image's, without a dimension for it."""
    lists = [each.shape for each in sample.outputs if len(each.shape) == 1]
    if len(output.shape) != RANK - 1 or output.shape[1] != BOX or output.shape[:1] not in lists:
        return None
    return (
        f"{output} holds the boxes of a single image, as torchvision exports them, and there is no dimension "
        f"for images; wrap the model so that it gives [N, K, {BOX}], or {_PLAIN}"
    )


def _scored(sample: Sample, output: Output) -> str | None:
    """Recognize corners with their score [N, K, 5] beside classes [N, K], as MMDeploy exports them."""
    beside = [
        each for each in sample.outputs if each.shape == output.shape[:2] and are_classes(each.trials[0])
    ]
    if len(output.shape) != RANK or output.shape[2] != BOX + 1 or not beside:
        return None
    return (
        f"{output} holds boxes with their scores, and {beside[0]} their classes, as MMDeploy exports them; "
        "export the model with boxes, scores and classes in outputs of their own"
    )


def _turned_six(sample: Sample, output: Output) -> str | None:
    """Recognize rows of six as columns, whose shape could be a head of two classes."""
    if len(output.shape) != RANK or output.shape[1] != COLUMNS or sample.on_grid(output.shape[2]):
        return None
    six = SixColumns.of(Output(0, output.name, tuple(trial.swapaxes(1, 2) for trial in output.trials)))
    if six.empty or not six.labeled:
        return None
    return (
        f"{output} looks transposed: the head `end2end` reads [N, {output.shape[2]}, {COLUMNS}]; "
        "export the model without the last transposition"
    )


def _odd_rows(sample: Sample, output: Output) -> str | None:
    """Recognize rows from suppression in the graph or from a transformer, in a form that no head reads."""
    if len(output.shape) != RANK:
        return None
    _, first, last = output.shape
    if last == COLUMNS:
        return _odd_six(output)
    if last > BOX and first <= _MOST_QUERIES and not sample.on_grid(first):
        queries = _odd_queries(output)
        if queries is not None:
            return queries
    if last == _LISTED:
        return f"{output} lists class and score of boxes in {_LISTED} columns; {_PLAIN}"
    return None


def _odd_six(output: Output) -> str | None:
    six = SixColumns.of(output)
    if six.empty and output.listed:
        return (
            f"{output} lists detections, and there are none for any trial picture to tell score from class; {_PLAIN}, "
            f"or set `head: classifier` if its {_LISTED} columns are the scores of as many classes"
        )
    if six.empty:
        return None
    if six.labeled and six.unit:
        return (
            f"{output} holds corners within 0..1, but the head `end2end` reads pixels; "
            "export the model with boxes in pixels"
        )
    if six.labeled:
        return (
            f"{output} holds centers and sizes in pixels with score and class, "
            "but the head `end2end` reads corners; export the model with corners"
        )
    return _odd_queries(output)


def _odd_queries(output: Output) -> str | None:
    """Recognize RT-DETR with a score for each class, if there are more or fewer names."""
    rows = output.rows
    if ((rows >= 0) & (rows <= 1)).all() and (rows[:, BOX:] != np.floor(rows[:, BOX:])).any():
        return (
            f"{output} looks like RT-DETR with center and size within 0..1 and {output.shape[2] - BOX} class scores "
            "for each query; set `labels` to as many names"
        )
    return None


def _listed(output: Output) -> str | None:
    if len(output.shape) == RANK - 1 and output.shape[1] in {COLUMNS, _LISTED}:
        return (
            f"{output} lists the detections of all pictures together; {_PLAIN}, or set `head: classifier` if its "
            f"{output.shape[1]} columns are the scores of as many classes"
        )
    return None


def _maps(output: Output) -> str | None:
    """Recognize YOLOv5 and YOLOv7 before their grids are decoded: [N, 3, h, w, 5+C]."""
    if len(output.shape) == 5 and output.shape[1] == 3:  # noqa: PLR2004 - N, anchors per cell, h, w, values
        return (
            f"{output} is a grid whose boxes are not decoded; "
            "export the model with its detection layer (YOLOv7: --grid)"
        )
    return None
