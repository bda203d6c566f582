"""Finds faults of a stream's lines, zones and events."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from framelane.config.checks.labels import known_labels
from framelane.config.checks.shapes import line_faults, polygon_faults
from framelane.config.keypath import KeyPath, Problem
from framelane.config.named_labels import rule_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.config.checks.checked import Checked
    from framelane.config.sections.stream import StreamConfig


def rule_faults(checked: Checked, index: int) -> Iterator[Problem]:
    """Yield what is wrong with the lines, zones and events that a stream sets itself."""
    written, whole = checked.written.streams[index], checked.config.streams[index]
    path: KeyPath = ("streams", index)
    if not whole.track and checked.sound(("defaults", "track"), (*path, "track")):
        yield from _untracked(path, written)
    yield from _names(path, written)
    yield from _shapes(checked, path, written)
    if checked.sound(("defaults", "classes"), (*path, "classes")):
        yield from _excluded(checked, path, whole)


def _untracked(path: KeyPath, stream: StreamConfig) -> Iterator[Problem]:
    for key in ("lines", "zones", "events"):
        if key in stream.model_fields_set and getattr(stream, key) not in (None, {}):
            yield Problem(
                (*path, key), "needs tracked objects; set `track: true` in this stream or in `defaults`"
            )


def _names(path: KeyPath, stream: StreamConfig) -> Iterator[Problem]:
    """Require names that differ: an event says only the name of its rule."""
    for name in stream.zones:
        if name in stream.lines:
            yield Problem((*path, "zones", name), f"`{name}` is already the name of a line; choose another")


def _shapes(checked: Checked, path: KeyPath, stream: StreamConfig) -> Iterator[Problem]:
    lines = (
        ((*path, "lines", name, "points"), line_faults, line.points) for name, line in stream.lines.items()
    )
    zones = (
        ((*path, "zones", name, "polygon"), polygon_faults, zone.polygon)
        for name, zone in stream.zones.items()
    )
    for place, faults_of, points in chain(lines, zones):
        if checked.sound(place):
            yield from (Problem((*place, *below), message) for below, message in faults_of(points))


def _excluded(checked: Checked, path: KeyPath, stream: StreamConfig) -> Iterator[Problem]:
    """Yield labels of rules that never fire, because the stream doesn't report them."""
    classes = stream.classes
    if classes is None:
        return
    known = known_labels(checked.config, stream.model_keys)
    if known is not None and not set(classes) <= set(known):
        # An unknown label of the stream is a finding, and may be the one that is meant.
        return
    for place, label in rule_labels(stream):
        if label not in classes and (known is None or label in known):
            message = f"the stream's `classes` leaves out `{label}`; add it there, or remove it here"
            yield Problem((*path, *place), message)
