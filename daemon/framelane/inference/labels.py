"""The names of a model's classes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Labels = tuple[str, ...]

# The 80 classes of COCO 2017, numbered as detectors do (instances_val2017.json, categories by id).
COCO: Labels = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag",
    "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat",
    "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork",
    "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog",
    "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv",
    "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip


def metadata_names(metadata: Mapping[str, str]) -> Labels | None:
    """Class names that an exporter wrote into the file (`names`: a dict by id, or a list), or None.

    Python literals (Ultralytics writes `{0: 'person', ...}`) and JSON are read, never evaluated.
    """
    try:
        names = ast.literal_eval(metadata.get("names", "None"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(names, dict):
        try:
            by_id = {int(key): str(name) for key, name in names.items()}
        except (TypeError, ValueError):
            return None
        names = [by_id.get(index, "") for index in range(len(by_id))]
    if not isinstance(names, (list, tuple)) or not names or "" in names:
        return None
    return tuple(str(name) for name in names)


def choose_labels(
    setting: str | Sequence[str], metadata: Mapping[str, str], classes: int | None, model: str
) -> Labels:
    """Class names by id, from `auto`, `coco`, a text file or a list; as many as the model has classes.

    Args:
        setting: the model's `labels`.
        metadata: the model file's properties.
        classes: how many classes the head holds, None where it doesn't tell.
        model: what to call the model in messages: its file.

    Raises:
        ModelError: there are no names, or not as many as classes.
    """
    if not isinstance(setting, str):
        labels, origin = tuple(setting), "the list in `labels`"
    elif setting == "coco":
        labels, origin = COCO, "`labels: coco`"
    elif setting == "auto":
        labels, origin = _own(metadata, classes, model), "its metadata"
    else:
        labels, origin = _from_file(Path(setting), model), setting
    if classes is not None and len(labels) != classes:
        raise ModelError(
            f"{model} has {classes} classes, but {origin} names {len(labels)}; "
            f"set `labels` to `auto`, a list or a file of {classes} names"
        )
    return labels


def _own(metadata: Mapping[str, str], classes: int | None, model: str) -> Labels:
    names = metadata_names(metadata)
    if names is not None:
        return names
    if classes == len(COCO):
        return COCO
    count = "its classes" if classes is None else f"its {classes} classes"
    raise ModelError(
        f"{model} doesn't name {count}; set `labels` to `coco`, a list or a text file with a name a line"
    )


def _from_file(path: Path, model: str) -> Labels:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ModelError(f"labels of {model}: can't read {path}: {reason}") from error
    return tuple(line.strip() for line in lines if line.strip())
