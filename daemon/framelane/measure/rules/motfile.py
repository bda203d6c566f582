"""Reads ground truth of tracks in MOTChallenge's format."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.measure.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MOT_LABELS = {1: "person", 2: "person", 3: "car", 4: "bicycle", 5: "motorcycle", 7: "person"}
"""Labels of MOTChallenge's classes; the others are no objects, such as reflections, and are left out."""

_LEAST_COLUMNS = 6
_CONSIDERED = 6
_WITH_CLASS = 9
_CLASS = 7


@dataclass(frozen=True, slots=True)
class TrueFrame:
    """The true objects of one frame, N of them.

    Attributes:
        ids: int64 [N].
        xyxy: float32 [N, 4], corners in pixels.
        labels: [N].
    """

    ids: NDArray[np.int64]
    xyxy: NDArray[np.float32]
    labels: tuple[str, ...]


NO_OBJECTS = TrueFrame(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), ())


def read_truth(path: Path) -> dict[int, TrueFrame]:
    """Return the true objects by number of the frame, from 1.

    A line is `frame,id,x,y,width,height,considered,class,visible`: x and y of the upper left corner in pixels, the
    rest may be missing. Lines whose `considered` is 0 are left out. Without a class, and in the ten columns of 2015's
    format, objects are persons.

    Raises:
        InputError: the file can't be read, or a line is malformed.
    """
    found: dict[int, dict[int, tuple[tuple[float, ...], str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line, row in enumerate(csv.reader(file), start=1):
                if row and (entry := _entry(row, f"{path}:{line}")) is not None:
                    frame, track, box, label = entry
                    if track in found.setdefault(frame, {}):
                        raise InputError(f"{path}:{line}: object {track} is in frame {frame} twice")
                    found[frame][track] = box, label
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} can't be read: {_why(error)}") from None
    if not found:
        raise InputError(f"{path} contains no object")
    return {frame: _frame(objects) for frame, objects in sorted(found.items())}


def _entry(row: list[str], place: str) -> tuple[int, int, tuple[float, ...], str] | None:
    """Return frame, id, corners and label of a line; None if it does not count."""
    if len(row) < _LEAST_COLUMNS:
        raise InputError(f"{place}: {len(row)} columns; MOT has frame,id,x,y,width,height and may have more")
    values = [_number(text, place) for text in row]
    frame, track = values[:2]
    left, top, width, height = values[2:_LEAST_COLUMNS]
    if frame != int(frame) or frame < 1:
        raise InputError(f"{place}: frame {row[0]} is not a whole number from 1 on")
    if track != int(track):
        raise InputError(f"{place}: id {row[1]} is not a whole number")
    if width <= 0 or height <= 0:
        raise InputError(f"{place}: a box of {row[4]} x {row[5]} pixels has no area")
    label: str | None = MOT_LABELS[1]
    if len(row) == _WITH_CLASS and values[_CLASS] >= 0:
        label = MOT_LABELS.get(int(values[_CLASS]))
    left_out = len(row) > _CONSIDERED and values[_CONSIDERED] == 0
    if left_out or label is None:
        return None
    return int(frame), int(track), (left, top, left + width, top + height), label


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{place}: `{text}` is not a number") from None
    if not math.isfinite(value):
        raise InputError(f"{place}: `{text}` is not a finite number")
    return value


def _why(error: OSError | UnicodeDecodeError | csv.Error) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is not text" if isinstance(error, UnicodeDecodeError) else str(error)


def _frame(objects: dict[int, tuple[tuple[float, ...], str]]) -> TrueFrame:
    return TrueFrame(
        np.array(list(objects), np.int64),
        np.array([box for box, _ in objects.values()], np.float32),
        tuple(label for _, label in objects.values()),
    )
