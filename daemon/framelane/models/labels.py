"""The names of a model's classes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.core.errors import ModelError
from framelane.core.text_files import read_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Labels = tuple[str, ...]

# Keys where exporters write class names; only those in `names` are read.
_NAME_KEYS = ("names", "class_names", "classes", "labels", "id2label")
_MOST_SHOWN = 60

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
    """Return class names that an exporter wrote into the file (`names`: a dict by id, or a list), or None.

    Python literals (Ultralytics writes `{0: 'person', ...}`) and JSON are parsed, never evaluated.
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
    """Return class names by id, from `auto`, `coco`, a text file or a list; as many as the model has classes.

    Args:
        setting: the model's `labels`.
        metadata: the model file's properties.
        classes: how many classes the head holds; None if unknown.
        model: the model's name in messages: its file.

    Raises:
        ModelError: there are no names, they can't be read, or there are more or fewer names than classes.
    """
    labels, origin = _named(setting, metadata, model)
    if labels is None and classes == len(COCO):
        return COCO
    if labels is None:
        count = "its classes" if classes is None else f"its {classes} classes"
        raise ModelError(
            f"{model} doesn't name {count}; set `labels` to `coco`, a list or a text file with a name a line"
        )
    if classes is not None and len(labels) != classes:
        raise ModelError(
            f"{model} has {classes} classes, but {origin} names {len(labels)}; "
            f"set `labels` to `auto`, a list or a file of {classes} names"
        )
    return labels


def count_labels(setting: str | Sequence[str], metadata: Mapping[str, str], model: str) -> int | None:
    """Return how many class names a model has: 80 (COCO) if none are given, None if they can't be read."""
    try:
        labels, _ = _named(setting, metadata, model)
    except ModelError:
        return None
    return len(COCO if labels is None else labels)


def _named(
    setting: str | Sequence[str], metadata: Mapping[str, str], model: str
) -> tuple[Labels | None, str]:
    """Return names and their origin; None if `auto` finds none."""
    if not isinstance(setting, str):
        return tuple(setting), "the list in `labels`"
    if setting == "coco":
        return COCO, "`labels: coco`"
    if setting == "auto":
        return _own(metadata, model), "its metadata"
    return _from_file(Path(setting), model), setting


def _own(metadata: Mapping[str, str], model: str) -> Labels | None:
    """Return the file's own names. Unreadable names are an error, because the classes need not be COCO's."""
    names = metadata_names(metadata)
    if names is not None:
        return names
    for key in _NAME_KEYS:
        text = metadata.get(key, "").strip()
        if text and (key == "names" or any(map(str.isalpha, text))):
            shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
            raise ModelError(
                f"{model} names its classes in its metadata in a way that can't be read (`{key}`: {shown}); "
                "set `labels` to a list, a text file with a name per line, or `coco`"
            )
    return None


def _from_file(path: Path, model: str) -> Labels:
    try:
        return read_lines(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ModelError(f"labels of {model}: can't read {path}: {reason}") from error
