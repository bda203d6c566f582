"""Where things are at each moment: motions that come back to their start after one loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Placement:
    """A point on the ground (metres), a heading (radians from the x axis), and metres gone along the path."""

    x: float
    y: float
    heading: float


class Path(Protocol):
    """Something that has a place at every phase (0..1) of the loop and the same at 0 and 1."""

    def at(self, phase: float) -> Placement:
        """Return the place at a phase of the loop."""


@dataclass(frozen=True, slots=True)
class Stay:
    """No motion, but for a slight sway."""

    x: float
    y: float
    heading: float
    sway: float = 0.0

    def at(self, phase: float) -> Placement:
        """Turn a little to and fro."""
        return Placement(self.x, self.y, self.heading + self.sway * float(np.sin(4 * np.pi * phase)))


@dataclass(frozen=True, slots=True)
class Transit:
    """A straight way from one end to the other in `laps` loops.

    With more than one lap, `laps` equal travellers follow each other, `offset` of them ahead of the first:
    when the loop starts again each stands where the next one stood, so that nobody sees the seam.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    laps: int
    offset: float

    def at(self, phase: float) -> Placement:
        """Go along; from the end jump back to the start, both of which should be out of sight."""
        done = ((phase + self.offset) / self.laps) % 1.0
        dx, dy = self.end[0] - self.start[0], self.end[1] - self.start[1]
        return Placement(self.start[0] + dx * done, self.start[1] + dy * done, float(np.arctan2(dy, dx)))


@dataclass(frozen=True, slots=True)
class Circuit:
    """Rounds on an ellipse."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    offset: float
    direction: int

    def at(self, phase: float) -> Placement:
        """Go round once a loop."""
        angle = 2 * np.pi * (self.direction * phase + self.offset)
        dx = -self.radii[0] * np.sin(angle) * self.direction
        dy = self.radii[1] * np.cos(angle) * self.direction
        x, y = self.centre[0] + self.radii[0] * np.cos(angle), self.centre[1] + self.radii[1] * np.sin(angle)
        return Placement(float(x), float(y), float(np.arctan2(dy, dx)))
