"""Draws a stream's rules, what they counted and where objects went on a frame of the clip."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import cv2
import numpy as np

from framelane.measure.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.config.sections.rules import LineConfig, ZoneConfig
    from framelane.config.sections.stream import StreamConfig
    from framelane.measure.rules.counts import RuleCount
    from framelane.measure.rules.trails import Trails

    Image = NDArray[np.uint8]
    Floats = NDArray[np.float64]
    Color = tuple[float, float, float]

_LEAST_SIDE = 960
"""Smaller frames are enlarged: letters need pixels."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE_COLOR: Color = (60, 220, 255)
_ZONE_COLOR: Color = (255, 190, 60)
_WHITE: Color = (255, 255, 255)
_BLACK: Color = (0, 0, 0)
_PLATE: Color = (24, 24, 24)
_DIM = 0.75
_FILL = 0.22
_GOLDEN = 0.618034


def save_picture(
    path: Path, config: StreamConfig, trails: Trails, counts: Sequence[RuleCount], image: Image
) -> None:
    """Draw on a frame [H, W, 3] BGR and write it as PNG.

    Raises:
        InputError: the file can't be written.
    """
    drawn = draw_rules(config, trails, counts, image)
    _, encoded = cv2.imencode(".png", drawn)
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror or error}") from None


def draw_rules(config: StreamConfig, trails: Trails, counts: Sequence[RuleCount], image: Image) -> Image:
    """Return a picture of a frame [H, W, 3] BGR with rules, tracks and counts, and a legend below it."""
    pen = _Pen(image)
    for zone in config.zones.values():
        pen.fill(_pixels(zone.polygon, pen.size_wh))
    for track, trail in trails.by_track.items():
        pen.trail(np.array(trail) * pen.scale, _track_color(track[1]))
    for track, label, box in trails.boxes:
        pen.box(np.array(box) * pen.scale, f"{label} {track[1]}", _track_color(track[1]))
    for name, zone in config.zones.items():
        pen.outline(_pixels(zone.polygon, pen.size_wh), name)
    for name, line in config.lines.items():
        sides = {each.what: each.count for each in counts if not each.zone and each.rule == name}
        pen.line(_pixels(line.points, pen.size_wh), name, sides)
    return pen.with_legend([_legend(name, zone, counts) for name, zone in _rules(config)])


def _rules(config: StreamConfig) -> list[tuple[str, LineConfig | ZoneConfig]]:
    return [*config.lines.items(), *config.zones.items()]


def _legend(name: str, rule: LineConfig | ZoneConfig, counts: Sequence[RuleCount]) -> tuple[str, Color]:
    zone = "polygon" in type(rule).model_fields
    own = [each for each in counts if each.rule == name and each.zone == zone]
    said = ", ".join(f"{each.what.removeprefix('zone_')} {_counted(each)}" for each in own)
    kind, color = ("zone", _ZONE_COLOR) if zone else ("line", _LINE_COLOR)
    classes = "" if rule.classes is None else f" ({', '.join(rule.classes)})"
    return f"{kind} {name}{classes}: {said}", color


def _counted(count: RuleCount) -> str:
    return f"{count.count}" if count.true is None else f"{count.count} (true {count.true})"


def _pixels(points: Sequence[Sequence[float]], size_wh: tuple[int, int]) -> Floats:
    return np.array(points, np.float64) * size_wh


def _track_color(track: int) -> Color:
    """Return a color that differs from those of the tracks before."""
    red, green, blue = colorsys.hsv_to_rgb(track * _GOLDEN % 1.0, 0.55, 1.0)
    return blue * 255, green * 255, red * 255


class _Pen:
    """Draws on a copy of a frame, in widths that suit its size.

    Args:
        image: the frame [H, W, 3] BGR.
    """

    def __init__(self, image: Image) -> None:
        longer = max(image.shape[:2])
        self.scale = max(_LEAST_SIDE / longer, 1.0)
        """Pixels of the drawing per pixel of the frame."""
        size = round(image.shape[1] * self.scale), round(image.shape[0] * self.scale)
        # A little darker, so that colors stand out.
        self._image = np.asarray(cv2.convertScaleAbs(cv2.resize(image, size), alpha=_DIM), np.uint8)
        self.size_wh = size
        unit = max(size) / 1280
        self._thin, self._thick = max(round(1.2 * unit), 1), max(round(3 * unit), 2)
        self._letters = max(0.65 * unit, 0.5)
        self._gap = max(round(6 * unit), 4)

    def fill(self, corners: Floats) -> None:
        """Tint a zone."""
        tinted = self._image.copy()
        cv2.fillPoly(tinted, [_rounded(corners)], _ZONE_COLOR)
        self._image = np.asarray(cv2.addWeighted(tinted, _FILL, self._image, 1 - _FILL, 0), np.uint8)

    def outline(self, corners: Floats, name: str) -> None:
        """Draw the border of a zone, with its name inside at its upper end."""
        self._path(corners, _ZONE_COLOR, self._thick, closed=True)
        middle = corners.mean(axis=0)
        top = corners[corners[:, 1].argmin()]
        self._text(name, top + (middle - top) * 0.3, _ZONE_COLOR)

    def line(self, points: Floats, name: str, sides: dict[str, int]) -> None:
        """Draw a line with its name, and an arrow to each side with what crossed it that way."""
        self._path(points, _LINE_COLOR, self._thick)
        lengths = np.hypot(*np.diff(points, axis=0).T)
        longest = int(lengths.argmax())
        start, end = points[longest], points[longest + 1]
        along = (end - start) / max(lengths[longest], 1e-9)
        # Walking along the line with y pointing down, left is up from a step to the right.
        left = np.array([along[1], -along[0]])
        reach = max(self.size_wh) * 0.035
        for side, way in (("left", left), ("right", -left)):
            # Side by side, so that each arrow has one head.
            foot = (start + end) / 2 - along * reach * (0.6 if side == "left" else -0.6)
            self._arrow(foot, foot + way * reach)
            self._text(f"{side} {sides.get(side, 0)}", foot + way * reach * 1.9, _LINE_COLOR)
        self._text(name, start + (end - start) * 0.2, _LINE_COLOR)

    def trail(self, points: Floats, color: Color) -> None:
        """Draw an object's path."""
        if len(points) > 1:
            cv2.polylines(
                self._image,
                [_rounded(points)],
                isClosed=False,
                color=color,
                thickness=self._thin,
                lineType=cv2.LINE_AA,
            )

    def box(self, corners: Floats, text: str, color: Color) -> None:
        """Draw an object's box."""
        left, top, right, bottom = (round(float(value)) for value in corners)
        cv2.rectangle(self._image, (left, top), (right, bottom), color, self._thin, cv2.LINE_AA)
        self._text(text, np.array([(left + right) / 2, top - self._gap * 2.0]), color, 0.8)

    def with_legend(self, lines: Sequence[tuple[str, Color]]) -> Image:
        """Return the picture with these lines below it, broken or shrunk to fit."""
        width, _ = self.size_wh
        rows = []
        for line, color in lines:
            text = _ascii(line)
            (wide, high), below = cv2.getTextSize(text, _FONT, self._letters, self._thin)
            letters = self._letters * min(1.0, (width - 2 * self._gap) / max(wide, 1))
            row = np.full((high + below + self._gap * 2, width, 3), _PLATE, np.uint8)
            cv2.putText(
                row, text, (self._gap, high + self._gap), _FONT, letters, color, self._thin, cv2.LINE_AA
            )
            rows.append(row)
        return np.concatenate([self._image, *rows])

    def _path(self, points: Floats, color: Color, thickness: int, *, closed: bool = False) -> None:
        for each, wide in ((_BLACK, thickness + 2 * self._thin), (color, thickness)):
            cv2.polylines(
                self._image,
                [_rounded(points)],
                isClosed=closed,
                color=each,
                thickness=wide,
                lineType=cv2.LINE_AA,
            )

    def _arrow(self, start: Floats, end: Floats) -> None:
        ends = [tuple(_rounded(each).tolist()) for each in (start, end)]
        for color, wide in ((_BLACK, self._thick + 2 * self._thin), (_WHITE, self._thick)):
            cv2.arrowedLine(self._image, ends[0], ends[1], color, wide, cv2.LINE_AA, tipLength=0.35)

    def _text(self, text: str, center: Floats, color: Color, size: float = 1.0) -> None:
        """Write around a point, on a dark plate, but within the picture."""
        text, letters = _ascii(text), self._letters * size
        (wide, high), below = cv2.getTextSize(text, _FONT, letters, self._thin)
        (width, height), rim = self.size_wh, self._gap // 2
        left = min(max(round(center[0] - wide / 2), rim), max(width - wide - rim, 0))
        base = min(max(round(center[1] + high / 2), high + rim), height - below - rim)
        plate = (left - rim, base - high - rim), (left + wide + rim, base + below + rim)
        cv2.rectangle(self._image, *plate, _PLATE, cv2.FILLED)
        cv2.putText(self._image, text, (left, base), _FONT, letters, color, self._thin, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """Return the text with ? for what OpenCV's font lacks."""
    return text.encode("ascii", "replace").decode()


def _rounded(points: Floats) -> NDArray[np.int32]:
    return np.round(points).astype(np.int32)
