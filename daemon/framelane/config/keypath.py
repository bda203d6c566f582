"""Where in the YAML file something stands, and what is wrong there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
Node: TypeAlias = "dict[str, Node] | list[Node] | str | None"

_PART = re.compile(r'([\w-]+)|\[(\d+)\]|\["(.*?)"\]')


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, or only odd, at a place of the file; `message` is written for the operator."""

    path: KeyPath
    message: str


def dotted(path: KeyPath) -> str:
    """The path as operators read it: `streams[2].url`."""
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
    """The path that `dotted` wrote."""
    return tuple(int(index) if index else quoted or name for name, index, quoted in _PART.findall(text))


def at(data: Node, path: KeyPath) -> Node:
    """What stands at a path; None where nothing does."""
    for part in path:
        if isinstance(data, dict) and isinstance(part, str):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data
