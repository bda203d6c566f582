"""Which labels of a stream get entities of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from framelane.config.sections.stream import StreamConfig


def classes_of(
    stream: StreamConfig, chosen: Sequence[str] | None, labels: Mapping[str, Sequence[str]]
) -> list[str] | None:
    """Return the classes of a stream that get their own entities; None if the configuration chooses none."""
    wanted = stream.classes if chosen is None else chosen
    if wanted is None:
        return None
    found = {label for key in stream.model_keys for label in labels[key]}
    if stream.classes is not None:
        found &= set(stream.classes)
    return [label for label in dict.fromkeys(wanted) if label in found]
