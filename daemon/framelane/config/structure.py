"""From plain data to a Config: all faults of shape and type at once, mended so that checks can go on."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from framelane.config.keypath import KeyPath, Node, Problem, at
from framelane.config.schema import Config
from framelane.config.section import IDENTIFIER_PATTERN
from framelane.config.suggest import nearest, unknown
from framelane.config.wording import allowed, given, keys_at, schema_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Mending may bring new faults to light, such as a map that is empty once its only key is gone.
_MOST_PASSES = 4
_STREAM: Node = {"id": "placeholder", "url": "/dev/null"}
_MODEL: Node = {"path": "placeholder"}
_PLACEHOLDERS: dict[KeyPath, Node] = {
    ("streams",): [_STREAM],
    ("streams", "*"): _STREAM,
    ("streams", "*", "id"): "placeholder",
    ("streams", "*", "url"): "/dev/null",
    ("models",): {"placeholder": _MODEL},
    ("models", "*"): _MODEL,
    ("models", "*", "path"): "placeholder",
    ("mqtt",): {"url": "mqtt://placeholder"},
    ("mqtt", "url"): "mqtt://placeholder",
    ("jsonl",): {"path": "placeholder"},
    ("jsonl", "path"): "placeholder",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of plain data.

    Attributes:
        config: the configuration, with faulty values replaced by defaults or placeholders; None where
            nothing is left that could be checked further.
        problems: everything wrong with shapes and types.
        replaced: the options whose values are not the file's; nothing more can be said of them.
    """

    config: Config | None
    problems: list[Problem]
    replaced: set[KeyPath]


def validate(data: Node, written: Node, broken: Iterable[KeyPath], *, needs_streams: bool = True) -> Outcome:
    """The configuration that `data` describes, and everything wrong with its shape and types.

    Args:
        data: the file's content, variables filled in.
        written: the same with its variables, to show.
        broken: paths already reported, whose values are missing from `data`.
        needs_streams: whether having no stream is a fault.
    """
    reported = {field_of(path) for path in broken}
    problems = list(_no_streams(data)) if needs_streams else []
    for _ in range(_MOST_PASSES):
        data = _mended(data, reported)
        try:
            return Outcome(Config.model_validate(data), problems, reported)
        except ValidationError as error:
            found = [_problem(one, data, written) for one in error.errors()]
        fresh = [problem for problem in _distinct(found) if not _around(problem.path, reported)]
        problems += [problem for problem in fresh if problem.message]
        reported |= {field_of(problem.path) for problem in found}
    return Outcome(None, problems, reported)


def _no_streams(data: Node) -> Iterator[Problem]:
    """Without a folder to look for more, a file names its streams itself."""
    path: KeyPath = ("streams",)
    none = isinstance(data, dict) and "streams" not in data and not data.get("streams_dir")
    if none and not _is_misspelt(path, data):
        yield Problem(path, f"is missing; expected {allowed(schema_at(path))}")


def _around(path: KeyPath, reported: Iterable[KeyPath]) -> bool:
    """Whether a path is a reported one, or holds one whose removal may be what is wrong with it."""
    return any(one[: len(field_of(path))] == field_of(path) for one in reported)


def field_of(path: KeyPath) -> KeyPath:
    """The option that a path lies in, such as `streams[2].classes` for `streams[2].classes[1]`."""
    return path[: 3 if path[:1] in (("streams",), ("models",)) else 2]


def _problem(error: Any, data: Node, written: Node) -> Problem:  # noqa: ANN401 - pydantic's ErrorDetails
    """The problem behind an error; without a message where another one says it already."""
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
    """Pydantic's location without the names of union branches, which stand for nothing in the file."""
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
    """Whether a missing key is there under an unknown name that the finding on that name already corrects."""
    section, known = at(data, path[:-1]), keys_at(path[:-1])
    strangers = [key for key in section if key not in known] if isinstance(section, dict) else []
    return any(nearest(stranger, known) == path[-1] for stranger in strangers)


def _distinct(problems: list[Problem]) -> list[Problem]:
    """One problem an option: two of one value say the same twice."""
    return list({problem.path: problem for problem in reversed(problems)}.values())[::-1]


def _mended(data: Node, reported: Iterable[KeyPath]) -> Node:
    """A copy without the reported options; required ones become placeholders."""
    data = copy.deepcopy(data)
    # Deepest first: a section is replaced after its keys, and never grows again.
    # What is wrong with the file's outermost map has the empty path, and leaves nothing out.
    for path in sorted({field_of(path) for path in reported if path}, key=len, reverse=True):
        parent, placeholder = at(data, path[:-1]), _placeholder(path)
        if isinstance(parent, list) and isinstance(path[-1], int):
            parent[path[-1]] = placeholder
        elif isinstance(parent, dict) and placeholder is not None:
            parent[str(path[-1])] = placeholder
        elif isinstance(parent, dict):
            parent.pop(str(path[-1]), None)
    return data


def _placeholder(path: KeyPath) -> Node:
    """What keeps the schema content at a path that needs something; None where nothing has to be."""
    if path[0] == "models" and len(path) > 1 and not re.fullmatch(IDENTIFIER_PATTERN, str(path[1])):
        return None
    whole = path[0] in ("streams", "models") and len(path) > 1
    return _PLACEHOLDERS.get((path[0], "*", *path[2:]) if whole else path)
