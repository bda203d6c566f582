"""Footage with detections and ground truth: what the evaluations of tracks and rules work on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crossing:
    """A crossing of a line.

    Attributes:
        line: number of the line.
        direction: -1 to its left, 1 to its right.
        at_s: when, in seconds from the first frame.
        ignore: whether it counts neither as missed nor as false.
    """

    line: int
    direction: int
    at_s: float
    ignore: bool = False


@dataclass(frozen=True, slots=True)
class Footage:
    """A clip.

    Attributes:
        name: for tables.
        fps: frames per second.
        size_wh: in pixels.
        confidence: threshold of the detections; those below are weak.
        labels: class names.
        found: detections per frame [N, 6]: corners in pixels, confidence, class id.
        truth: true objects per frame [N, 6]: corners in pixels, id, class id; those that must be found.
        lines: two points in pixels each [L, 2, 2].
        crossings: the true crossings of the lines, also those to ignore.
    """

    name: str
    fps: float
    size_wh: tuple[int, int]
    confidence: float
    labels: tuple[str, ...]
    found: list[Floats]
    truth: list[Floats]
    lines: Floats
    crossings: list[Crossing]

    def with_found(self, found: list[Floats]) -> Footage:
        """Return the clip with other detections."""
        return replace(self, found=found)

    def every(self, step: int) -> Footage:
        """Return the clip with every n-th frame only."""
        return replace(self, fps=self.fps / step, found=self.found[::step], truth=self.truth[::step])

    def repeated(self, times: int) -> Footage:
        """Return a clip that loops without a seam, played several times."""
        seconds = len(self.found) / self.fps
        crossings = [
            replace(each, at_s=each.at_s + lap * seconds) for lap in range(times) for each in self.crossings
        ]
        return replace(self, found=self.found * times, truth=self.truth * times, crossings=crossings)
