"""Validates plain data into a Config; reports all faults of shape and type and replaces faulty values."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from framelane.config.explain.wording import allowed, given, keys_at, schema_at
from framelane.config.keypath import KeyPath, Node, Problem, at
from framelane.config.sections.schema import Config
from framelane.config.sections.section import IDENTIFIER_PATTERN
from framelane.config.suggest import nearest, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A replacement may uncover new faults, such as a map that is empty without its only key.
_MOST_PASSES = 4
_STREAM: Node = {"id": "placeholder", "url": "/dev/null"}
_MODEL: Node = {"path": "placeholder"}
_PLACEHOLDERS: dict[KeyPath, Node] = {
    ("streams",): [_STREAM],
    ("streams", "*"): _STREAM,
    ("streams", "*", "id"): "placeholder",
    ("streams", "*", "url"): "/dev/null",
    ("streams", "*", "lines", "*", "points"): [["0", "0.5"], ["1", "0.5"]],
    ("streams", "*", "zones", "*", "polygon"): [["0", "0"], ["1", "0"], ["1", "1"]],
    ("models",): {"placeholder": _MODEL},
    ("models", "*"): _MODEL,
    ("models", "*", "path"): "placeholder",
    ("mqtt",): {"url": "mqtt://placeholder"},
    ("mqtt", "url"): "mqtt://placeholder",
    ("jsonl",): {"path": "placeholder"},
    ("jsonl", "path"): "placeholder",
}


@dataclass(frozen=True, slots=True)
class StructureOutcome:
    """The outcome of a validation.

    Attributes:
        config: the configuration, with faulty values replaced by defaults or placeholders; None if
            nothing is left to check.
        problems: everything wrong with shapes and types.
        replaced: options whose values were replaced and can't be checked further.
    """

    config: Config | None
    problems: list[Problem]
    replaced: set[KeyPath]


def validate(
    data: Node, written: Node, broken: Iterable[KeyPath], *, needs_streams: bool = True
) -> StructureOutcome:
    """Validate `data` and report everything wrong with its shape and types.

    Args:
        data: the file's content with variables filled in.
        written: the same before substitution, for messages.
        broken: paths already reported, whose values are missing from `data`.
        needs_streams: whether a configuration without streams is a fault.
    """
    reported = {field_of(path) for path in broken}
    problems = list(_no_streams(data, written)) if needs_streams else []
    for _ in range(_MOST_PASSES):
        data = _replaced(data, reported)
        try:
            return StructureOutcome(Config.model_validate(data), problems, reported)
        except ValidationError as error:
            found = [_problem(one, data, written) for one in error.errors()]
        fresh = [problem for problem in _distinct(found) if not _around(problem.path, reported)]
        problems += [problem for problem in fresh if problem.message]
        reported |= {field_of(problem.path) for problem in found}
    return StructureOutcome(None, problems, reported)


def _no_streams(data: Node, written: Node) -> Iterator[Problem]:
    """Require streams in the file, unless a folder or HTTP can add some."""
    path: KeyPath = ("streams",)
    if not isinstance(data, dict) or at(written, ("streams_dir",)):
        return
    if "streams" not in data and not _is_misspelt(path, data):
        yield Problem(path, f"is missing; expected {allowed(schema_at(path))}")
    elif data.get("streams") == [] and not at(data, ("http", "listen")):
        yield Problem(path, "expected a list of maps; got an empty list")


def _around(path: KeyPath, reported: Iterable[KeyPath]) -> bool:
    """Return whether a path was reported, or contains a reported one whose removal may have broken it."""
    return any(one[: len(field_of(path))] == field_of(path) for one in reported)


@lru_cache(maxsize=4096)
def field_of(path: KeyPath) -> KeyPath:
    """Return the option that contains a path, such as `streams[2].classes` for `streams[2].classes[1]`."""
    length = 3 if path[:1] in (("streams",), ("models",)) else 1
    # Options lie in sections, and in maps of sections such as `lines`.
    while length < len(path) and (keys_at(path[:length]) or keys_at(path[: length + 1])):
        length += 1
    return path[:length]


def _problem(error: Any, data: Node, written: Node) -> Problem:  # noqa: ANN401 - pydantic's ErrorDetails
    """Return the problem for an error; without a message if another problem already reports it."""
    path = _path(error["loc"], data)
    if error["type"] == "extra_forbidden":
        return Problem(path, unknown("key", str(path[-1]), keys_at(path[:-1])))
    if error["type"] == "missing":
        path = (*path, error["loc"][-1])
        message = "" if _is_misspelt(path, data) else f"is missing; expected {allowed(schema_at(path))}"
        return Problem(path, message)
    if error["loc"][-1] == "[key]":
        expected = allowed({"type": "string", "pattern": IDENTIFIER_PATTERN})
        return Problem(path, f"expected {expected}; got `{path[-1]}`")
    got = given(path, at(data, path), at(written, path))
    return Problem(path, f"expected {allowed(schema_at(path))}; got {got}")


def _path(loc: tuple[str | int, ...], data: Node) -> KeyPath:
    """Return pydantic's location without names of union branches, which are not in the file."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(data, dict) and part in data:
            data = data[str(part)]
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
        else:
            continue
        path.append(part)
    return tuple(path)


def _is_misspelt(path: KeyPath, data: Node) -> bool:
    """Return whether a missing key is present under a misspelt name; the finding on that name suggests it."""
    section, known = at(data, path[:-1]), keys_at(path[:-1])
    unknown_keys = [key for key in section if key not in known] if isinstance(section, dict) else []
    return any(nearest(key, known) == path[-1] for key in unknown_keys)


def _distinct(problems: list[Problem]) -> list[Problem]:
    """Return one problem per option; several about one value would repeat each other."""
    return list({problem.path: problem for problem in reversed(problems)}.values())[::-1]


def _replaced(data: Node, reported: Iterable[KeyPath]) -> Node:
    """Return a copy without the reported options; required ones become placeholders."""
    data = copy.deepcopy(data)
    # Deepest first, so that a section is replaced after its keys and gets none back.
    # Problems of the outermost map have the empty path and remove nothing.
    for path in sorted({field_of(path) for path in reported if path}, key=len, reverse=True):
        placeholder = _placeholder(path)
        _fill_empty(data, path[:-1])
        parent = at(data, path[:-1])
        if isinstance(parent, list) and isinstance(path[-1], int):
            parent[path[-1]] = placeholder
        elif isinstance(parent, dict) and placeholder is not None:
            parent[str(path[-1])] = placeholder
        elif isinstance(parent, dict):
            parent.pop(str(path[-1]), None)
    return data


def _fill_empty(data: Node, path: KeyPath) -> None:
    """Make an empty section a map, so that its required options can be placed there."""
    parent = at(data, path[:-1])
    if path and isinstance(parent, dict) and parent.get(str(path[-1]), {}) is None:
        parent[str(path[-1])] = {}


def _placeholder(path: KeyPath) -> Node:
    """Return a valid value for a required path; None if the path is optional."""
    if path[0] == "models" and len(path) > 1 and not re.fullmatch(IDENTIFIER_PATTERN, str(path[1])):
        return None
    return _PLACEHOLDERS.get(_with_any_name(path))


def _with_any_name(path: KeyPath) -> KeyPath:
    """Return the path with `*` in place of indexes and names that the file chooses."""
    parts = list(path)
    if path[0] in ("streams", "models") and len(path) > 1:
        parts[1] = "*"
    if path[0] == "streams" and len(path) > 3 and path[2] in ("lines", "zones"):  # noqa: PLR2004 - a name
        parts[3] = "*"
    return tuple(parts)
