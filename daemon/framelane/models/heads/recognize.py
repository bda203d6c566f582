"""Finds a model's head from its file's metadata and its outputs for the trial images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.config.suggest import listed
from framelane.core.errors import ModelError
from framelane.models.heads import (
    classifier,
    detection_lists,
    end_to_end,
    rfdetr,
    rtdetr,
    ultralytics_tasks,
    yolonas,
    yolov5,
    yolov8,
    yolox,
    yunet,
)
from framelane.models.heads.output_checks import fault
from framelane.models.heads.unsupported import misfit, transposed, unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from framelane.models.heads.head import Head
    from framelane.models.heads.kind import HeadKind, Output, Sample

# Tried in this order.
HEADS: dict[str, HeadKind] = {
    kind.name: kind
    for kind in (
        detection_lists.DETR_KIND,
        detection_lists.NMS_KIND,
        rfdetr.KIND,
        rfdetr.MASKS_KIND,
        yolonas.KIND,
        yunet.KIND,
        *ultralytics_tasks.KINDS,
        end_to_end.KIND,
        rtdetr.KIND,
        yolov8.KIND,
        yolov5.KIND,
        yolox.KIND,
        yolox.DECODED_KIND,
        classifier.KIND,
    )
}


def recognize(sample: Sample, setting: str = "auto", output: str | None = None) -> Head:
    """Return the head of a model, found or as configured.

    Args:
        sample: the model's outputs for the trial images.
        setting: the model's `head`.
        output: the model's `output`, the name of the one to read; None to find it.

    Raises:
        ModelError: no head fits, or not the configured one; several outputs do; or the values can't be right.
    """
    tasks = (*ultralytics_tasks.TASKS, classifier.TASK)
    if sample.task is not None and sample.task not in tasks:
        raise ModelError(
            f"{sample.model} is a model for the task `{sample.task}`; Framelane runs the tasks {listed(tasks, 'and')}"
        )
    outputs = sample.outputs if output is None else (_named(sample, output),)
    kinds = heads_for(sample.task) if setting == "auto" else {setting: HEADS[setting]}
    joining = {name: kind for name, kind in kinds.items() if kind.joins}
    heads = _heads(sample, outputs, setting, joining)
    if not heads and setting == "auto" and output is None and (odd := unread(sample)) is not None:
        raise ModelError(f"{sample.model}: {odd}")
    heads = heads or _heads(sample, outputs, setting, kinds)
    if not heads:
        raise ModelError(_refusal(sample, setting, outputs, kinds))
    head = _the_one(sample, heads)
    exchanged = transposed(sample, head)
    if exchanged is not None:
        raise ModelError(f"{sample.model}: {exchanged}")
    return head


def heads_for(task: str | None) -> Mapping[str, HeadKind]:
    """Return the heads for a task that the exporter noted; all of them if it noted none."""
    return {name: kind for name, kind in HEADS.items() if task in (None, kind.task)}


def _named(sample: Sample, name: str) -> Output:
    for output in sample.outputs:
        if output.name == name:
            return output
    raise ModelError(
        f"{sample.model} has no output `{name}`; set `output` to one of {_listed(sample.outputs)}, or leave it out"
    )


def _heads(
    sample: Sample, outputs: Sequence[Output], setting: str, kinds: Mapping[str, HeadKind]
) -> list[Head]:
    return [head for each in outputs if (head := _head(sample, each, setting, kinds)) is not None]


def _head(sample: Sample, output: Output, setting: str, kinds: Mapping[str, HeadKind]) -> Head | None:
    for kind in kinds.values():
        if kind.mismatch(sample, output, named=setting != "auto") is None:
            return kind.make(sample, output)
    return None


def _the_one(sample: Sample, heads: Sequence[Head]) -> Head:
    """Return the one head whose output can be right.

    Raises:
        ModelError: there is none, or several are equally good.
    """
    faults = [fault(head, sample) for head in heads]
    sound = [head for head, found in zip(heads, faults, strict=True) if found is None]
    if not sound:
        raise ModelError(f"{sample.model}: {faults[0]}")
    named = [head for head in sound if head.classes in (None, sample.names)] or sound
    first = sample.outputs[named[0].output]
    rivals = [sample.outputs[head.output] for head in named[1:]]
    rivals = [rival for rival in rivals if not rival.same_as(first)]
    if rivals:
        raise ModelError(
            f"{sample.model} has several outputs that could be read: {_listed([first, *rivals])}; "
            "set `output` to the name of the one with the final detections"
        )
    return named[0]


def _refusal(sample: Sample, setting: str, outputs: Sequence[Output], kinds: Mapping[str, HeadKind]) -> str:
    detector = setting == "auto" and sample.task in (None, "detect")
    odd = misfit(sample, outputs) if detector else None
    if odd is not None:
        return f"{sample.model}: {odd}"
    tasks = {sample.task or "detect"} if setting == "auto" else {kind.task for kind in kinds.values()}
    known = "; ".join(f"{name} {kind.layout}" for name, kind in kinds.items() if kind.task in tasks)
    width, height = sample.size_wh
    task = "" if sample.task is None else f" for the task `{sample.task}`"
    asked = f"no head that Framelane knows{task}" if setting == "auto" else f"not `head: {setting}`"
    remedy = "" if setting == "auto" else "; set `head: auto` or another one"
    return (
        f"{sample.model} gives {_listed(outputs)} for a {width}x{height} picture, which fits {asked}: "
        f"{known}{remedy}"
    )


def _listed(outputs: Iterable[Output]) -> str:
    return ", ".join(map(str, outputs))
