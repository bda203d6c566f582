"""The rules of all streams of one model, in arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.analytics.rules.geometry import Edges

if TYPE_CHECKING:
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
    """The rules of all streams, one after the other: G rules of at most E edges, S rows of the table of tracks.

    Attributes:
        start: first rule of each row [S].
        counts: rules of each row [S].
        has_page: whether a row has a page, which may have no rules [S].
        edges: x1 y1 x2 y2 in pixels [4, G, E].
        box: x1 y1 x2 y2 around each rule, in pixels [4, G].
        zone: whether it is a zone [G].
        allowed: whether objects of a class count [G, classes].
        anchor: the point that counts, in box heights below the center [G].
        max_gap_s: see Rule [G].
        enter_s: likewise [G].
        loiter_s: likewise [G].
        exit_s: of each rule of each row; infinite for lines and where there is no rule [K, S].
        still_s: see RuleSet [S].
        hold_s: likewise [S].
        update_s: likewise [S].
    """

    start: Indices
    counts: Indices
    has_page: NDArray[np.bool_]
    edges: Floats
    box: Floats
    zone: NDArray[np.bool_]
    allowed: NDArray[np.bool_]
    anchor: Floats
    max_gap_s: Floats
    enter_s: Floats
    loiter_s: Floats
    exit_s: Floats
    still_s: Floats
    hold_s: Floats
    update_s: Floats

    def edges_of(self, rules: Indices) -> Edges:
        """Return the edges of these rules [P]."""
        x1, y1, x2, y2 = self.edges[:, rules]
        return Edges(x1, y1, x2, y2)


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
    start, count = np.zeros(rows, np.intp), np.zeros(rows, np.intp)
    every: list[tuple[Rule, NDArray[np.float64]]] = []
    for row, page in pages.items():
        start[row], count[row] = len(every), len(page.rules.rules)
        every += [(rule, rule.edges(page.width, page.height)) for rule in page.rules.rules]
    most = max((len(edges) for _, edges in every), default=1)
    classes = max((len(rule.allowed) for rule, _ in every), default=0)
    edges_of = np.zeros((4, len(every), most))
    allowed = np.zeros((len(every), classes), np.bool_)
    for index, (rule, edges) in enumerate(every):
        edges_of[:, index, : len(edges)] = edges.T
        # Padding: edges of no length at the first corner.
        edges_of[:2, index, len(edges) :] = edges_of[2:, index, len(edges) :] = edges[0, :2, None]
        allowed[index, : len(rule.allowed)] = rule.allowed
    low, high = edges_of[:2].min(axis=2, initial=np.inf), edges_of[:2].max(axis=2, initial=-np.inf)
    low = np.minimum(low, edges_of[2:].min(axis=2, initial=np.inf))
    high = np.maximum(high, edges_of[2:].max(axis=2, initial=-np.inf))
    has_page = np.zeros(rows, np.bool_)
    has_page[list(pages)] = True
    return Rules(
        start,
        count,
        has_page,
        edges_of,
        np.concatenate((low, high)),
        np.array([rule.zone for rule, _ in every], np.bool_),
        allowed,
        np.array([rule.anchor for rule, _ in every]),
        np.array([rule.max_gap_s for rule, _ in every]),
        np.array([rule.enter_s for rule, _ in every]),
        np.array([rule.loiter_s for rule, _ in every]),
        _exits(pages, rows),
        *_options(pages, rows),
    )


def _exits(pages: dict[int, Page], rows: int) -> Floats:
    most = max((len(page.rules.rules) for page in pages.values()), default=0)
    exits = np.full((most, rows), np.inf)
    for row, page in pages.items():
        for number, rule in enumerate(page.rules.rules):
            if rule.zone:
                exits[number, row] = rule.exit_s
    return exits


def _options(pages: dict[int, Page], rows: int) -> Floats:
    options = np.full((3, rows), np.inf)
    for row, page in pages.items():
        options[:, row] = page.rules.still_s, page.rules.hold_s, page.rules.update_s
    return options
