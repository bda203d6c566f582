"""Points of an object, such as a person's joints: x, y and mostly a confidence each."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.models.heads.head import Candidates
    from framelane.models.input.letterbox import Letterbox

    Array = NDArray[np.float32]
    Floats = Array | NDArray[np.float16]

PLAIN, WITH_CONFIDENCE = 2, 3


@dataclass(frozen=True, slots=True)
class Keypoints:
    """Points in input pixels, one after the other; see Details.

    Attributes:
        count: points of an object.
        values: 3 with a confidence, else 2.
    """

    output: ClassVar[None] = None
    per_object: ClassVar[bool] = False
    rotated: ClassVar[bool] = False
    stride: ClassVar[None] = None
    count: int
    values: int

    @property
    def columns(self) -> int:
        """How many numbers an object has for its points."""
        return self.count * self.values

    def add(
        self,
        found: Detections,
        kept: Candidates,
        outputs: Sequence[Floats],  # noqa: ARG002 - see Details
        image: int,  # noqa: ARG002
        letterbox: Letterbox,
    ) -> Detections:
        """See Details; points without a confidence have 1."""
        assert kept.extra is not None  # noqa: S101 - the head has read them
        points = kept.extra.reshape(len(kept.extra), self.count, self.values)
        converted = np.ones((len(points), self.count, WITH_CONFIDENCE), np.float32)
        converted[..., :PLAIN] = letterbox.points_to_source(points[..., :PLAIN])
        if self.values == WITH_CONFIDENCE:
            converted[..., PLAIN] = np.clip(points[..., PLAIN], 0, 1)
        return replace(found, keypoints=converted)


def noted_keypoints(metadata: Mapping[str, str]) -> Keypoints | None:
    """Return Ultralytics' note `kpt_shape`, [points, 2 or 3]; None if there is none."""
    try:
        count, values = ast.literal_eval(metadata.get("kpt_shape", ""))
        found = Keypoints(int(count), int(values))
    except (ValueError, SyntaxError, TypeError):
        return None
    return found if found.count > 0 and found.values in (PLAIN, WITH_CONFIDENCE) else None


def keypoints_in(rows: Array, reach: float) -> Keypoints | None:
    """Return what the values after a prediction's scores [R, values] can be, as points; None if they are not.

    Coordinates are pixels, and each of them is beyond `reach` in some row: weights of masks stay near 0. With
    confidences, every third value is from 0 to 1.
    """
    columns = rows.shape[1]
    pixels = rows.max(axis=0, initial=0) > reach
    if columns and columns % WITH_CONFIDENCE == 0:
        each = pixels.reshape(-1, WITH_CONFIDENCE)
        if each[:, :PLAIN].all() and not each[:, PLAIN].any() and bool((rows[:, PLAIN::3] >= 0).all()):
            return Keypoints(columns // WITH_CONFIDENCE, WITH_CONFIDENCE)
    if columns and columns % PLAIN == 0 and pixels.all():
        return Keypoints(columns // PLAIN, PLAIN)
    return None
