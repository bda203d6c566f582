"""Labels that options name, each with its key path, so that unknown ones can be reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.config.sections.stream import StreamConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from framelane.config.keypath import KeyPath
    from framelane.config.sections.rules import LineConfig, ZoneConfig
    from framelane.config.sections.stream import StreamOptions


def labels_of(options: StreamOptions) -> Iterator[tuple[KeyPath, str]]:
    """Yield each label that a stream's options or `defaults` name, with its key path within them."""
    yield from listed_labels(options.classes)
    if isinstance(options.confidence, dict):
        yield from ((("confidence", label), label) for label in options.confidence)
    if isinstance(options, StreamConfig):
        yield from rule_labels(options)


def rule_labels(stream: StreamConfig) -> Iterator[tuple[KeyPath, str]]:
    """Yield each label that a stream's lines and zones name, with its key path within the stream."""
    rules: dict[str, Mapping[str, LineConfig | ZoneConfig]] = {"lines": stream.lines, "zones": stream.zones}
    for kind, named in rules.items():
        for name, rule in named.items():
            yield from (((kind, name, *place), label) for place, label in listed_labels(rule.classes))


def listed_labels(classes: Sequence[str] | None) -> Iterator[tuple[KeyPath, str]]:
    """Yield each label of the key `classes`, with its key path."""
    yield from ((("classes", index), label) for index, label in enumerate(classes or ()))
