"""A pinhole camera over a flat street: converts world meters to image pixels."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

# Fixed-point coordinates for OpenCV, because sub-pixel motion looks smooth.
SUBPIXEL_BITS = 4
NEAR_M = 0.4
# In pixels. OpenCV fills with 64-bit integers, so that near, clipped ground stays straight.
_LIMIT = 400_000.0


def fixed_point(uv: FloatArray) -> IntArray:
    """Turn pixel coordinates [..., 2] into OpenCV's fixed-point integers with SUBPIXEL_BITS bits."""
    scaled = np.clip(uv, -_LIMIT, _LIMIT) * (1 << SUBPIXEL_BITS)
    return np.rint(scaled).astype(np.int32)


class Camera:
    """World axes: x to the right of the street, y along it, z up, meters; the camera has no roll."""

    __slots__ = ("axes", "center", "focal_px", "position", "size_wh")

    def __init__(
        self,
        size_wh: tuple[int, int],
        focal_px: float,
        position: tuple[float, float, float],
        target: tuple[float, float, float],
    ) -> None:
        """Stand at `position` and look at `target`, both (x, y, z) in meters."""
        self.size_wh = size_wh
        self.focal_px = focal_px
        self.position = np.asarray(position, dtype=np.float64)
        self.center = np.array([size_wh[0] / 2, size_wh[1] / 2])
        forward = np.asarray(target, dtype=np.float64) - self.position
        forward /= np.linalg.norm(forward)
        right = np.array([forward[1], -forward[0], 0.0])
        right /= np.linalg.norm(right)
        self.axes = np.stack([right, np.cross(forward, right), forward])

    def project(self, xyz: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return pixels [..., 2] and depth in meters [...] of world points [..., 3]; depth may be <= 0."""
        local = (xyz - self.position) @ self.axes.T
        depth = local[..., 2]
        safe = np.maximum(depth, NEAR_M)
        uv = local[..., :2] * (self.focal_px / safe)[..., None] + self.center
        return uv, depth

    def polygons(self, xyz: FloatArray) -> list[IntArray]:
        """Return fixed-point outlines of world polygons [P, K, 3]; empty arrays behind the camera."""
        uv, depth = self.project(xyz)
        if depth.min(initial=np.inf) > NEAR_M:
            return list(fixed_point(uv))
        return [self._clipped(polygon) for polygon in xyz]

    def _clipped(self, polygon: FloatArray) -> IntArray:
        """Clip one polygon [K, 3] at the near plane (Sutherland and Hodgman, one plane)."""
        depth = (polygon - self.position) @ self.axes[2] - NEAR_M * 1.01
        kept: list[FloatArray] = []
        for i in range(len(polygon)):
            here, there = depth[i - 1], depth[i]
            if (here > 0) != (there > 0):
                kept.append(polygon[i - 1] + (polygon[i] - polygon[i - 1]) * (here / (here - there)))
            if there > 0:
                kept.append(polygon[i])
        if len(kept) < 3:
            return np.empty((0, 2), dtype=np.int32)
        return fixed_point(self.project(np.stack(kept))[0])

    def horizon_px(self) -> float:
        """Return the image row of the horizon, which may lie outside the image."""
        forward = self.axes[2]
        pitch = np.arctan2(-forward[2], np.hypot(forward[0], forward[1]))
        return float(self.center[1] - self.focal_px * np.tan(pitch))

    def ground(self, stride: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return world x, y [h, w] and depth [h] of the ground, every `stride` pixels; inf above the horizon."""
        width, height = self.size_wh
        u = (np.arange(0, width, stride) + stride / 2 - self.center[0]) / self.focal_px
        v = (np.arange(0, height, stride) + stride / 2 - self.center[1]) / self.focal_px
        right, down, forward = self.axes
        fall = v * down[2] + forward[2]
        with np.errstate(divide="ignore"):
            depth = np.where(fall < -1e-3, -self.position[2] / np.minimum(fall, -1e-3), np.inf)
        reach = np.where(np.isinf(depth), 0.0, depth)[:, None]
        rows = v[:, None] * down + forward
        x = self.position[0] + reach * (u[None, :] * right[0] + rows[:, :1])
        y = self.position[1] + reach * (u[None, :] * right[1] + rows[:, 1:2])
        return x, y, depth
