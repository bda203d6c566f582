"""Motions that return to their start after one loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Placement:
    """A point on the ground (meters), a heading (radians from the x axis), and meters gone along the path."""

    x: float
    y: float
    heading: float


class Path(Protocol):
    """A motion with a place at every phase (0..1) of the loop, the same at 0 and 1."""

    def at(self, phase: float) -> Placement:
        """Return the place at a phase of the loop."""


@dataclass(frozen=True, slots=True)
class Stay:
    """No motion, except a slight sway."""

    x: float
    y: float
    heading: float
    sway: float = 0.0

    def at(self, phase: float) -> Placement:
        """Turn slightly back and forth."""
        return Placement(self.x, self.y, self.heading + self.sway * float(np.sin(4 * np.pi * phase)))


@dataclass(frozen=True, slots=True)
class Transit:
    """A straight path from one end to the other in `laps` loops.

    With more than one lap, `laps` identical travelers follow each other, and `offset` is how many are ahead
    of this one. When the loop restarts, each stands where the next one stood, so no seam is visible.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    laps: int
    offset: float

    def at(self, phase: float) -> Placement:
        """Move along, and jump from the end back to the start. Both should be out of sight."""
        done = ((phase + self.offset) / self.laps) % 1.0
        dx, dy = self.end[0] - self.start[0], self.end[1] - self.start[1]
        return Placement(self.start[0] + dx * done, self.start[1] + dy * done, float(np.arctan2(dy, dx)))


@dataclass(frozen=True, slots=True)
class Circuit:
    """Rounds on an ellipse."""

    center: tuple[float, float]
    radii: tuple[float, float]
    offset: float
    direction: int

    def at(self, phase: float) -> Placement:
        """Go round once per loop."""
        angle = 2 * np.pi * (self.direction * phase + self.offset)
        dx = -self.radii[0] * np.sin(angle) * self.direction
        dy = self.radii[1] * np.cos(angle) * self.direction
        x, y = self.center[0] + self.radii[0] * np.cos(angle), self.center[1] + self.radii[1] * np.sin(angle)
        return Placement(float(x), float(y), float(np.arctan2(dy, dx)))
