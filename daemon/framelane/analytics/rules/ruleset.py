"""The rules of one stream for the objects of one model, ready to be applied."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from framelane.config.sections.rules import Anchor, EventsConfig, LineConfig, ZoneConfig

_NEVER = float("inf")
# From the center of a box, in its heights.
_ANCHORS: dict[Anchor, float] = {"bottom": 0.5, "center": 0.0, "top": -0.5}


@dataclass(frozen=True, slots=True)
class Rule:
    """A line or a zone.

    Attributes:
        name: the rule's name; unique among a stream's lines, and among its zones.
        zone: whether it is a zone.
        corners: of the polyline or polygon, x and y from 0 to 1 [V][2].
        labels: the labels that the configuration names; None for all.
        allowed: bool [classes], whether objects of a class count.
        anchor: the point that counts, in box heights below the center.
        max_gap_s: of a line, seconds unseen that a crossing may span.
        min_boxes: of a line, boxes in a row beyond it to have crossed.
        enter_s: of a zone, seconds inside to have entered.
        exit_s: of a zone, seconds outside to have left.
        loiter_s: of a zone, seconds inside to loiter.
    """

    name: str
    zone: bool
    corners: tuple[tuple[float, float], ...]
    labels: tuple[str, ...] | None
    allowed: NDArray[np.bool_] = field(compare=False)
    anchor: float
    max_gap_s: float = _NEVER
    min_boxes: int = 1
    enter_s: float = 0.0
    exit_s: float = 0.0
    loiter_s: float = _NEVER

    def edges(self, width: int, height: int) -> NDArray[np.float64]:
        """Return the edges in pixels, x1 y1 x2 y2 [E, 4]."""
        corners = np.array(self.corners) * (width, height)
        if self.zone:
            return np.concatenate((corners, np.roll(corners, -1, axis=0)), axis=1)
        return np.concatenate((corners[:-1], corners[1:]), axis=1)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a stream for the objects of one model.

    Attributes:
        space: what sets the ids of these objects apart from those of the stream's first model; empty for that.
        rules: lines and zones.
        labels: class names by class id; empty for classes that another model of the stream reports.
        objects: whether objects themselves make events.
        still_s: seconds without movement after which an object is stationary.
        hold_s: seconds for which a stationary object that is hidden is held.
        update_s: most seconds between two events of an object.
    """

    space: str
    rules: tuple[Rule, ...]
    labels: tuple[str, ...]
    objects: bool
    still_s: float
    hold_s: float
    update_s: float

    @staticmethod
    def of(
        lines: Mapping[str, LineConfig],
        zones: Mapping[str, ZoneConfig],
        events: EventsConfig,
        labels: Sequence[str],
        taken: Collection[str] = (),
        space: str = "",
    ) -> RuleSet:
        """Return the rules of a stream.

        Args:
            lines: the stream's lines.
            zones: its zones.
            events: its options.
            labels: class names of the model by class id.
            taken: labels that an earlier model of the stream knows; its objects count, not these.
            space: see RuleSet.
        """
        own = tuple("" if label in taken else label for label in labels)
        return RuleSet(
            space,
            (
                *(_line(name, line, own) for name, line in lines.items()),
                *(_zone(name, zone, own) for name, zone in zones.items()),
            ),
            own,
            events.objects,
            events.still_s,
            events.hold_s,
            events.update_s,
        )


def _line(name: str, line: LineConfig, labels: Sequence[str]) -> Rule:
    rule = _rule(name, line, line.points, labels, zone=False)
    return replace(rule, max_gap_s=line.max_gap_s, min_boxes=line.min_boxes)


def _zone(name: str, zone: ZoneConfig, labels: Sequence[str]) -> Rule:
    rule = _rule(name, zone, zone.polygon, labels, zone=True)
    loiter_s = _NEVER if zone.loiter_s is None else zone.loiter_s
    return replace(rule, enter_s=zone.enter_s, exit_s=zone.exit_s, loiter_s=loiter_s)


def _rule(
    name: str,
    section: LineConfig | ZoneConfig,
    points: Sequence[Sequence[float]],
    labels: Sequence[str],
    *,
    zone: bool,
) -> Rule:
    """Return a rule with what lines and zones have in common."""
    classes = section.classes
    return Rule(
        name,
        zone,
        tuple((x, y) for x, y in points),
        None if classes is None else tuple(classes),
        np.array([bool(label) and (classes is None or label in classes) for label in labels], np.bool_),
        _ANCHORS[section.anchor],
    )
