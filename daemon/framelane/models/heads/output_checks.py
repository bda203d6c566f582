"""Checks a model's outputs for what can't be right, whatever the images show, and for what is odd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from framelane.models.heads.six_columns import UNIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.models.heads.head import Head, Raw
    from framelane.models.heads.kind import Output, Sample

    Array = NDArray[np.float32]

# Boxes as fractions of the image reach at least this far, because predictions are spread over all of it.
_SPREAD = 0.5
# INT8 and half precision round a score slightly beyond 0 and 1.
_SLACK = 0.05


def fault(head: Head, sample: Sample) -> str | None:
    """Return why an output can't be what the head reads; None if nothing contradicts it."""
    output = sample.outputs[head.output]
    raws = [head.raw(outputs) for outputs in sample.trials]
    return _not_a_number(output, raws) or _no_scores(output, raws) or _no_pixels(head, output, raws)


def doubts(head: Head, sample: Sample) -> tuple[str, ...]:
    """Return what is probably, but not certainly, wrong, in sentences for operators."""
    output = sample.outputs[head.output]
    raws = [head.raw(outputs) for outputs in sample.trials]
    found = []
    broken = sum(_is_broken(raw.scores) for raw in raws)
    if broken:
        found.append(
            f"{output} holds NaN (not a number) for {broken} of {len(raws)} trial pictures; "
            "export it in float32, or set `precision: fp32`"
        )
    if not any(raw.confidence.any() for raw in raws):
        found.append(_all_zero(head, output))
    return tuple(found)


def _all_zero(head: Head, output: Output) -> str:
    if head.overlapping:
        return (
            f"all scores in {output} are 0 for every trial picture, so it may find nothing at all; "
            "check whether quantization or conversion has broken it"
        )
    return (
        f"{output} holds no detections for any trial picture, so its layout and batches can't be checked; "
        "make sure that it finds something on your own pictures"
    )


def _is_broken(values: Array) -> bool:
    return not bool(np.isfinite(values).all())


def _not_a_number(output: Output, raws: list[Raw]) -> str | None:
    """Return a fault if every trial holds NaN.

    Some trials only raise a doubt: half precision may overflow.
    """
    if all(_is_broken(raw.scores) for raw in raws):
        return (
            f"{output} holds scores that are NaN (not a number) or infinite for every trial picture; "
            "export the model again, in float32"
        )
    return None


def _no_scores(output: Output, raws: list[Raw]) -> str | None:
    finite = np.concatenate([raw.scores[np.isfinite(raw.scores)] for raw in raws])
    if not finite.size:
        return None
    least, most = float(finite.min()), float(finite.max())
    if least >= -_SLACK and most <= 1 + _SLACK:
        return None
    return (
        f"{output} holds scores from {least:.3g} to {most:.3g}, not from 0 to 1: they look like logits, or like what "
        "segmentation and pose models add; export a detector, with the sigmoid of its scores"
    )


def _no_pixels(head: Head, output: Output, raws: list[Raw]) -> str | None:
    boxes = [np.abs(raw.boxes[np.isfinite(raw.boxes)]) for raw in raws if raw.boxes is not None]
    farthest = max((float(box.max(initial=0)) for box in boxes), default=0.0)
    if not _SPREAD <= farthest <= UNIT:
        return None
    width, height = head.input.size_wh
    return (
        f"{output} holds boxes within 0..1, but the head `{head.name}` reads pixels of a {width}x{height} picture; "
        "export the model with boxes in pixels"
    )
