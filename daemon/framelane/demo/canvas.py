"""Paints convex shapes into an image, and records which object owns each pixel."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from framelane.demo.camera import SUBPIXEL_BITS, Camera, FloatArray, IntArray, fixed_point

Image = NDArray[np.uint8]
Color = tuple[float, float, float]

_ARC = np.linspace(np.pi / 2, 3 * np.pi / 2, 5)
# The half circle behind the first end of a capsule.
_BACK = np.stack([np.cos(_ARC), np.sin(_ARC)], axis=-1)


@dataclass(frozen=True, slots=True)
class Layer:
    """Convex outlines painted in order: fixed-point [K, 2] each, BGR colors [P, 3] 0..255 before light.

    `stroke_px` 0 fills; otherwise the closed outline is drawn. Only `solid` layers are part of the object's
    silhouette; the others are details inside it. `glowing` layers emit light.
    """

    outlines: list[IntArray]
    colors: FloatArray
    stroke_px: int = 0
    solid: bool = True
    glowing: bool = False


def capsules(camera: Camera, ends: FloatArray, radii: FloatArray, colors: FloatArray) -> Layer:
    """Return round-ended limbs: `ends` [L, 2, 3] world meters, `radii` [L, 2] meters."""
    uv, depth = camera.project(ends)
    ahead = depth.min(axis=1) > 0.5
    if not ahead.all():
        uv, depth, radii, colors = uv[ahead], depth[ahead], radii[ahead], colors[ahead]
    along = uv[:, 1] - uv[:, 0]
    along = along / np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    radius_px = radii * camera.focal_px / depth
    back = _BACK[None, :, :1] * along[:, None] + _BACK[None, :, 1:] * across[:, None]
    first = uv[:, None, 0] + back * radius_px[:, None, :1]
    second = uv[:, None, 1] - back * radius_px[:, None, 1:]
    return Layer(list(fixed_point(np.concatenate([first, second], axis=1))), colors)


def bounds(layers: list[Layer]) -> tuple[int, int, int, int] | None:
    """Return the solid extent (x1, y1, x2, y2) in whole pixels, not clipped to any image; None if empty."""
    points = [outline for layer in layers if layer.solid for outline in layer.outlines if len(outline)]
    if not points:
        return None
    everything = np.concatenate(points)
    margin = 2 + max((layer.stroke_px for layer in layers), default=0)
    low = (everything.min(axis=0) >> SUBPIXEL_BITS) - margin
    high = (everything.max(axis=0) >> SUBPIXEL_BITS) + margin + 1
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


class Canvas:
    """An image, the owner of each pixel (0 for none, else actor number + 1), and space for silhouettes."""

    __slots__ = ("image", "margin_wh", "owners", "scratch")

    def __init__(self, size_wh: tuple[int, int]) -> None:
        width, height = size_wh
        self.image: Image = np.zeros((height, width, 3), np.uint8)
        self.owners: Image = np.zeros((height, width), np.uint8)
        self.margin_wh = (width // 2, height // 2)
        self.scratch: Image = np.zeros((height * 2, width * 2), np.uint8)

    def paint(self, layers: list[Layer], light: FloatArray, haze: FloatArray, clarity: float) -> None:
        """Draw layers with colors times `light` [3], mixed with `haze` [3] as `clarity` (0..1) falls."""
        for layer in layers:
            lit = layer.colors if layer.glowing else layer.colors * light
            seen = np.clip(lit * clarity + haze * (1 - clarity), 0, 255).tolist()
            for outline, color in zip(layer.outlines, seen, strict=True):
                draw(self.image, outline, color, layer.stroke_px, cv2.LINE_AA)

    def silhouette(self, layers: list[Layer], clip: tuple[int, int, int, int]) -> Image:
        """Return a 0/1 mask [h, w] of the solid layers in `clip` (x1, y1, x2, y2); it may leave the image."""
        mask = self.scratch[: clip[3] - clip[1], : clip[2] - clip[0]]
        mask[:] = 0
        offset = np.array([clip[0], clip[1]], np.int32) << SUBPIXEL_BITS
        for layer in layers:
            if layer.solid:
                for outline in layer.outlines:
                    draw(mask, outline - offset, 1.0, layer.stroke_px, cv2.LINE_8)
        return mask

    def scratch_clip(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Limit a box to the image plus half its size on each side; what lies further out is not measured."""
        height, width = self.owners.shape
        mx, my = self.margin_wh
        return max(box[0], -mx), max(box[1], -my), min(box[2], width + mx), min(box[3], height + my)

    def frame_clip(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Limit a box to the image; it is empty when x2 <= x1 or y2 <= y1."""
        height, width = self.owners.shape
        return max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)

    def glow(self, uv: FloatArray, radius_wh: tuple[float, float], color: Color) -> None:
        """Add a soft light around pixel `uv` [2]."""
        half_w, half_h = min(int(radius_wh[0]), 400), min(int(radius_wh[1]), 400)
        x, y = int(uv[0]), int(uv[1])
        if half_w < 1 or half_h < 1 or abs(x) > _FAR or abs(y) > _FAR:
            return
        x1, y1, x2, y2 = self.frame_clip((x - half_w, y - half_h, x + half_w, y + half_h))
        if x2 <= x1 or y2 <= y1:
            return
        disc = cv2.resize(_GLOW, (2 * half_w, 2 * half_h))[
            y1 - y + half_h : y2 - y + half_h, x1 - x + half_w : x2 - x + half_w
        ]
        region = self.image[y1:y2, x1:x2]
        cv2.add(region, (disc[..., None] * np.asarray(color, np.float32)).astype(np.uint8), dst=region)


_FAR = 4000
_RADIUS = np.hypot(*np.meshgrid(np.linspace(-1, 1, 65), np.linspace(-1, 1, 65))).astype(np.float32)
_GLOW = (np.clip(1 - _RADIUS, 0, 1) ** 2).astype(np.float32)


def draw(image: Image, outline: IntArray, color: object, stroke_px: int, line: int) -> None:
    """Fill or stroke one fixed-point outline [K, 2] with a scalar or BGR color."""
    if len(outline) < 3:
        return
    if stroke_px:
        cv2.polylines(image, [outline], 1, color, stroke_px, line, SUBPIXEL_BITS)  # type: ignore[call-overload]
    else:
        cv2.fillConvexPoly(image, outline, color, line, SUBPIXEL_BITS)  # type: ignore[call-overload]
