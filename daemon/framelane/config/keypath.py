"""Key paths of the YAML file, and problems at them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

KeyPath: TypeAlias = tuple[str | int, ...]
Node: TypeAlias = "dict[str, Node] | list[Node] | str | None"

_PART = re.compile(r'([\w-]+)|\[(\d+)\]|\["(.*?)"\]')


@dataclass(frozen=True, slots=True)
class Problem:
    """An error or a warning at a place in the file.

    Attributes:
        path: key path; empty for the whole file.
        message: text for the operator.
        line: line number, from 1; 0 for the line of `path`.
    """

    path: KeyPath
    message: str
    line: int = 0


def dotted(path: KeyPath) -> str:
    """Return the path as operators read it: `streams[2].url`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[\w-]+", part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def parsed(text: str) -> KeyPath:
    """Parse what `dotted` returned."""
    return tuple(int(index) if index else quoted or name for name, index, quoted in _PART.findall(text))


def is_disjoint(path: KeyPath, others: Iterable[KeyPath]) -> bool:
    """Return whether `path` neither contains nor lies within any of the others; empty paths are ignored."""
    return not any(
        path[: len(other)] == other or other[: len(path)] == path for other in others if other and path
    )


def at(data: Node, path: KeyPath) -> Node:
    """Return the value at a path; None if there is none."""
    for part in path:
        if isinstance(data, dict) and isinstance(part, str):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data
