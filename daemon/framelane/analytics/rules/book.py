"""The rules of all streams of one model, in arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.analytics.rules.geometry import Edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.analytics.rules.ruleset import Rule, RuleSet

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]


class Page(NamedTuple):
    """The rules of one stream, and the size in pixels of its frames."""

    rules: RuleSet
    width: int
    height: int


class Rules(NamedTuple):
    """The rules of all streams, one after the other: G rules, at most K per stream, S rows of the table of tracks.

    Attributes:
        start: first rule of each row [S].
        names: of the rules [G].
        has_page: whether a row has a page, which may have no rules [S].
        lines: edges of lines in pixels, those of zones are empty; see Edges [8, E, G].
        zones: edges of zones, those of lines are empty [8, E, G].
        box: x1 y1 x2 y2 around each rule, in pixels [4, G].
        boxes: the same for each rule of each row; NaN where there is no rule [4, K, S].
        zone: whether it is a zone [G].
        classes: how many classes `allowed` knows.
        allowed: whether objects of a class count, for each rule of each row [K, S * classes].
        anchor: the point that counts, in box heights below the center [G].
        max_gap_s: see Rule [G].
        min_boxes: likewise [G].
        enter_s: likewise [G].
        loiter_s: likewise [G].
        exit_s: of each rule of each row; infinite for lines and where there is no rule [K, S].
        options: still_s, hold_s and update_s of each row; see RuleSet [3, S].
    """

    start: Indices
    names: tuple[str, ...]
    has_page: NDArray[np.bool_]
    lines: Floats
    zones: Floats
    box: Floats
    boxes: Floats
    zone: NDArray[np.bool_]
    classes: int
    allowed: NDArray[np.bool_]
    anchor: Floats
    max_gap_s: Floats
    min_boxes: NDArray[np.int64]
    enter_s: Floats
    loiter_s: Floats
    exit_s: Floats
    options: Floats

    def edges_of_lines(self, rules: Indices) -> Edges:
        """Return the edges of lines, with a dimension for the ends of steps [E, 1, P]."""
        return Edges._make(self.lines.take(rules[None], axis=2))

    def edges_of_zones(self, rules: Indices) -> Edges:
        """Return the edges of zones [E, P]."""
        return Edges._make(self.zones.take(rules, axis=2))

    def allows(self, row: Indices, class_id: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the rules of rows count objects of these classes [K, M]."""
        known = np.minimum(class_id, self.classes - 1)
        return self.allowed.take(row * self.classes + known, axis=1)


class RuleBook:
    """Holds the rules of all streams, and their arrays, which are made when they are next asked for."""

    def __init__(self) -> None:
        self.pages: dict[int, Page] = {}
        """By row of the table of tracks."""
        self._made: Rules | None = None
        self._rows = 0

    def write(self, row: int, page: Page) -> None:
        """Set the rules of a row."""
        self.pages[row] = page
        self._made = None

    def tear(self, row: int) -> None:
        """Forget the rules of a row."""
        if self.pages.pop(row, None) is not None:
            self._made = None

    def rules(self, rows: int) -> Rules:
        """Return the arrays for a table with this many rows."""
        if self._made is None or self._rows != rows:
            self._made, self._rows = _arrays(self.pages, rows), rows
        return self._made


def _arrays(pages: dict[int, Page], rows: int) -> Rules:
    start, has_page = np.zeros(rows, np.intp), np.zeros(rows, np.bool_)
    every: list[tuple[Rule, Floats]] = []
    for row, page in pages.items():
        start[row], has_page[row] = len(every), True
        every += [(rule, rule.edges(page.width, page.height)) for rule in page.rules.rules]
    classes = max((len(rule.allowed) for rule, _ in every), default=0)
    options = np.full((3, rows), np.inf)
    for row, page in pages.items():
        options[:, row] = page.rules.still_s, page.rules.hold_s, page.rules.update_s
    box = _boxes(every)
    return Rules(
        start,
        tuple(rule.name for rule, _ in every),
        has_page,
        _edges(every, zone=False),
        _edges(every, zone=True),
        box,
        _by_row(pages, rows, start, box),
        np.array([rule.zone for rule, _ in every], np.bool_),
        classes,
        _allowed(pages, rows, classes),
        np.array([rule.anchor for rule, _ in every]),
        np.array([rule.max_gap_s for rule, _ in every]),
        np.array([rule.min_boxes for rule, _ in every], np.int64),
        np.array([rule.enter_s for rule, _ in every]),
        np.array([rule.loiter_s for rule, _ in every]),
        _exits(pages, rows),
        options,
    )


def _edges(every: Sequence[tuple[Rule, Floats]], *, zone: bool) -> Floats:
    """Return the edges of the lines or of the zones, see Edges [8, E, G]."""
    most = max((len(edges) for rule, edges in every if rule.zone == zone), default=1)
    corners = np.zeros((4, most, len(every)))
    for index, (rule, edges) in enumerate(every):
        if rule.zone == zone:
            corners[:, : len(edges), index] = edges.T
            # Padding: edges of no length at the first corner.
            corners[:2, len(edges) :, index] = corners[2:, len(edges) :, index] = edges[0, :2, None]
    return np.array(Edges.of(corners))


def _boxes(every: Sequence[tuple[Rule, Floats]]) -> Floats:
    box = np.zeros((4, len(every)))
    for index, (_, edges) in enumerate(every):
        corners = edges.reshape(-1, 2)
        box[:2, index], box[2:, index] = corners.min(axis=0), corners.max(axis=0)
    return box


def _by_row(pages: dict[int, Page], rows: int, start: Indices, box: Floats) -> Floats:
    boxes = np.full((4, _most(pages), rows), np.nan)
    for row, page in pages.items():
        count = len(page.rules.rules)
        boxes[:, :count, row] = box[:, start[row] : start[row] + count]
    return boxes


def _allowed(pages: dict[int, Page], rows: int, classes: int) -> NDArray[np.bool_]:
    allowed = np.zeros((_most(pages), rows, classes), np.bool_)
    for row, page in pages.items():
        for number, rule in enumerate(page.rules.rules):
            allowed[number, row, : len(rule.allowed)] = rule.allowed
    return allowed.reshape(_most(pages), rows * classes)


def _exits(pages: dict[int, Page], rows: int) -> Floats:
    exits = np.full((_most(pages), rows), np.inf)
    for row, page in pages.items():
        for number, rule in enumerate(page.rules.rules):
            if rule.zone:
                exits[number, row] = rule.exit_s
    return exits


def _most(pages: dict[int, Page]) -> int:
    return max((len(page.rules.rules) for page in pages.values()), default=0)
