"""Light and weather of a scene: brightness, color, visibility, and rain or snow."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from framelane.demo.camera import FloatArray
    from framelane.demo.canvas import Image


@dataclass(frozen=True, slots=True)
class Atmosphere:
    """The effect of air and sky on colors. Colors are BGR; light is a factor per channel."""

    # day | overcast | dusk | night.
    time: str
    # clear | rain | snow | fog.
    weather: str
    ambient: FloatArray
    sky_top: FloatArray
    sky_low: FloatArray
    # Ground shift in meters per meter of height; None without sun.
    shadow_xy: tuple[float, float] | None
    shadow_gain: float
    # Distance over which the haze hides two thirds.
    clear_m: float

    @property
    def lamps_on(self) -> bool:
        """Whether street lamps, windows and headlights shine."""
        return self.time in ("dusk", "night")

    def clarity(self, depth_m: FloatArray) -> FloatArray:
        """Return the share of an object's own color that is left at a distance."""
        return np.exp(-np.maximum(depth_m, 0.0) / self.clear_m)


_TIMES: dict[str, tuple[tuple[float, float, float], tuple[int, int, int], tuple[int, int, int]]] = {
    # Ambient light, sky at the top, sky at the horizon (all BGR).
    "day": ((0.98, 1.0, 1.02), (225, 170, 105), (240, 222, 195)),
    "overcast": ((0.86, 0.84, 0.82), (205, 198, 190), (222, 218, 212)),
    "dusk": ((0.56, 0.52, 0.60), (130, 90, 80), (120, 150, 225)),
    "night": ((0.36, 0.30, 0.28), (40, 24, 18), (70, 48, 40)),
}
_CLEAR_M = {"clear": (220.0, 500.0), "rain": (70.0, 140.0), "snow": (50.0, 110.0), "fog": (24.0, 48.0)}


def draw_atmosphere(rng: np.random.Generator) -> Atmosphere:
    """Choose a matching time of day and weather."""
    time = str(rng.choice(list(_TIMES), p=[0.4, 0.22, 0.17, 0.21]))
    weather = str(rng.choice(list(_CLEAR_M), p=[0.6, 0.17, 0.12, 0.11]))
    if time == "day" and weather != "clear":
        time = "overcast"
    ambient, top, low = (np.array(part, np.float64) for part in _TIMES[time])
    exposure = rng.uniform(0.82, 1.12) * rng.uniform(0.96, 1.04, 3)
    if weather in ("fog", "snow"):
        gray = low.mean() * np.array([1.02, 1.0, 0.98])
        top, low = 0.25 * top + 0.75 * gray, 0.15 * low + 0.85 * gray
    shadow = None
    if time == "day" or (time == "dusk" and weather == "clear" and rng.random() < 0.5):
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.0 if time == "day" else 1.8)
        shadow = (float(length * np.cos(angle)), float(length * np.sin(angle)))
    return Atmosphere(
        time=time,
        weather=weather,
        ambient=ambient * exposure,
        sky_top=np.clip(top * exposure, 0, 255),
        sky_low=np.clip(low * exposure, 0, 250),
        shadow_xy=shadow,
        shadow_gain=float(rng.uniform(0.5, 0.68) if shadow else rng.uniform(0.68, 0.82)),
        clear_m=float(rng.uniform(*_CLEAR_M[weather])),
    )


class Precipitation:
    """Rain or snow as layers of streaks that wrap around: they fall forever and repeat with the loop."""

    __slots__ = ("falls", "layers", "slants")

    def __init__(
        self, rng: np.random.Generator, weather: str, size_wh: tuple[int, int], loop_s: float
    ) -> None:
        """Draw a near and a far layer; `falls` are whole image heights that a layer falls in one loop."""
        self.layers: list[Image] = []
        self.falls: list[int] = []
        self.slants: list[int] = []
        if weather not in ("rain", "snow"):
            return
        # Image heights per second.
        speeds_px_s = (2.2, 3.4) if weather == "rain" else (0.22, 0.4)
        for nearness, speed in enumerate(speeds_px_s):
            self.layers.append(_streaks(rng, weather, size_wh, nearness))
            self.falls.append(max(1, round(speed * loop_s)))
            self.slants.append(int(rng.integers(-2, 3)) if weather == "snow" else 0)

    def fall(self, image: Image, phase: float) -> None:
        """Add the streaks to `image` at loop phase 0..1."""
        height, width = image.shape[:2]
        for layer, falls, slant in zip(self.layers, self.falls, self.slants, strict=True):
            down = round(phase * falls * height) % height
            aside = round(phase * slant * width) % width
            top = height - down
            cv2.add(image, layer[top : top + height, aside : aside + width], dst=image)


def _streaks(rng: np.random.Generator, weather: str, size_wh: tuple[int, int], nearness: int) -> Image:
    """Return one layer of twice the image's height and width that wraps after one height or width."""
    width, height = size_wh
    tile: Image = np.zeros((height, width, 3), np.uint8)
    unit = height / 480
    count = int(rng.uniform(50, 260) / (1 + nearness))
    lean = float(rng.uniform(-0.25, 0.25))
    for x, y in rng.uniform((0, 0), (width, height), (count, 2)).tolist():
        light = float(rng.uniform(18, 60) if weather == "rain" else rng.uniform(60, 170))
        length = (8 + 12 * nearness) * unit * float(rng.uniform(0.6, 1.4))
        # A streak that leaves at the bottom comes in at the top.
        for shift in (-height, 0):
            if weather == "rain":
                start, end = (
                    (round(x), round(y + shift)),
                    (round(x + lean * length), round(y + shift + length)),
                )
                cv2.line(tile, start, end, (light, light, light), 1, cv2.LINE_AA)
            else:
                radius = max(1, round((1 + nearness) * unit * float(rng.uniform(0.6, 1.3))))
                cv2.circle(tile, (round(x), round(y + shift)), radius, (light, light, light), -1, cv2.LINE_AA)
    return np.tile(tile, (2, 2, 1))


class SensorNoise:
    """A camera's grain: one large field, read at another place for each frame."""

    __slots__ = ("negative", "positive", "slack")

    def __init__(self, rng: np.random.Generator, size_wh: tuple[int, int], sigma: float) -> None:
        """Make the field; `sigma` is in gray levels of 255."""
        self.slack = 61
        width, height = size_wh
        gray = rng.normal(0, sigma, (height + self.slack, width + self.slack, 1)).astype(np.float32)
        tint = cv2.resize(
            rng.normal(0, sigma * 0.7, (height // 2, width // 2, 3)).astype(np.float32), gray.shape[1::-1]
        )
        field = gray + tint
        self.positive: Image = np.clip(field, 0, 255).astype(np.uint8)
        self.negative: Image = np.clip(-field, 0, 255).astype(np.uint8)

    def add(self, image: Image, frame_index: int) -> None:
        """Add the grain of one frame in place."""
        height, width = image.shape[:2]
        dx, dy = frame_index * 37 % self.slack, frame_index * 23 % self.slack
        cv2.add(image, self.positive[dy : dy + height, dx : dx + width], dst=image)
        cv2.subtract(image, self.negative[dy : dy + height, dx : dx + width], dst=image)
