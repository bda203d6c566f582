"""Parses YAML into plain maps, lists and strings, each with its line and column.

All scalars but null stay strings, and the schema decides what is a number or a switch. So `id: 007`,
`password: 1e5` and `classes: [no]` keep their text, which YAML 1.1's implicit types would change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from framelane.config.keypath import KeyPath, Node, Problem
from framelane.core.errors import ConfigError, Finding
from framelane.core.text_files import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_NODES = 200_000
MOST_DEPTH = 64
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_TAG + name for name in ("null", "str", "int", "float", "bool", "seq", "map", "merge")}

# PyYAML's messages and ours. The first pattern found in PyYAML's text wins; `{0}` is the pattern's group.
_WORDS = (
    (r"found character '\\t'", "a tab; indent with spaces"),
    (r"found character '(.)' that cannot start", "a value can't begin with `{0}`; put it in quotes"),
    (r"mapping values are not allowed", "unexpected `:`; quote values that contain `: `"),
    (r"sequence entries are not allowed", "a list can't begin here; begin it on its own line"),
    (r"could not find expected ':'", "expected a `:` after the key"),
    (r"expected ',' or '\]'", "expected `,` or `]` to continue or end the list"),
    (r"expected ',' or '\}'", "expected `,` or `}` to continue or end the map"),
    (r"unexpected end of stream", "expected the closing quote of this text"),
    (r"unknown escape character '(.)'", "`\\{0}` is not an escape in double quotes; use single quotes"),
    (r"undefined alias '(.*)'", "no anchor `&{0}` before `*{0}`; quote text that begins with `*`"),
    (r"another document", "expected one document; a second one begins here with `---`"),
    (r"expected <block end>, but found '(<block mapping start>|<block sequence start>|-)'",
     "indented differently from above; indent all keys of a map alike"),
    (r"expected <block end>, but found '\?'", "expected another `-`; the lines mix a list and a map"),
    (r"expected <block end>, but found '(.*)'", "expected a new key or the end, not `{0}`"),
    (r"expected the node content, but found '(.*)'", "expected a value, not `{0}`"),
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars to null, merge key or text only."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - as PyYAML declares it


_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_TAG + "merge", re.compile(r"^<<$"), ["<"])


class _Dumper(yaml.SafeDumper):
    """Writes what the loader reads; text is quoted only if it would read as null or a merge key."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


@dataclass(slots=True)
class Document:
    """The content of a YAML file, its positions (1-based line and column) and its YAML errors."""

    data: Node = None
    marks: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def mark(self, path: KeyPath) -> tuple[int, int]:
        """Return line and column of a path, or of the closest value around it."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, (1, 1))


def read_text(path: Path) -> str:
    """Return the text of a YAML file.

    Raises:
        ConfigError: The file can't be read, or is not UTF-8.
    """
    try:
        return decode_text(path.read_bytes())
    except OSError as error:
        raise ConfigError([Finding("", f"can't read {path}: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Finding("", f"{path} is not UTF-8 text (byte {error.start})")]) from error


def parse_document(text: str) -> Document:
    """Parse YAML text; duplicate keys and unknown tags are reported in `problems`.

    Raises:
        ConfigError: The text is not YAML.
    """
    try:
        root = _compose(text)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_finding(error)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"a control character (code {int(error.character):#04x}); remove it"
        raise ConfigError([Finding("", message, line=line)]) from None
    except RecursionError:
        raise ConfigError([Finding("", "nested too deeply to be read")]) from None
    builder = _Builder()
    if root is not None:
        builder.document.data = builder.build(root, ())
    return builder.document


def written_as_yaml(data: Node) -> str:
    """Return YAML text that parses to this data."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _syntax_finding(error: yaml.MarkedYAMLError) -> Finding:
    problem = error.problem or error.context or "not YAML"
    mark = error.problem_mark or error.context_mark
    if "end of stream" in problem and error.context_mark is not None:
        # The opening quote says more than the end of the file.
        mark = error.context_mark
    for pattern, words in _WORDS:
        if found := re.search(pattern, problem):
            problem = words.replace("{0}", "".join(found.groups()))
            break
    if mark is None:
        return Finding("", problem)
    return Finding("", f"{problem} (column {mark.column + 1})", line=mark.line + 1)


class _Builder:
    """Turns YAML nodes into plain values and collects marks and problems."""

    def __init__(self) -> None:
        self.document = Document()
        self._count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Node:
        self._count += 1
        if self._count > MOST_NODES or len(path) > MOST_DEPTH:
            # A few lines of aliases can expand to millions of values, or contain themselves.
            raise ConfigError([Finding("", "too many values, or aliases that contain themselves")])
        self.document.marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if node.tag not in _PLAIN_TAGS:
            tag = node.tag.replace(_TAG, "!!")
            self._problem(path, f"unknown YAML tag `{tag}`; quote text that begins with `!`")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return None if node.tag == _TAG + "null" else self._text(node, path)

    def _map(self, node: yaml.MappingNode, path: KeyPath) -> Node:
        lines: dict[str, int] = {}
        result: dict[str, Node] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _TAG + "merge":
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(path, "a key must be text, not a list or a map", line)
                continue
            key = self._text(key_node, path)
            if key in lines:
                self._problem((*path, key), f"duplicate key, on lines {lines[key]} and {line}")
                continue
            lines[key] = line
            self.document.marks[(*path, key)] = (line, key_node.start_mark.column + 1)
            result[key] = self.build(value_node, (*path, key))
        for key, value_node in self._merged(node, path):
            if key not in result:
                result[key] = self.build(value_node, (*path, key))
        return result

    def _merged(
        self, node: yaml.MappingNode, path: KeyPath, depth: int = 0
    ) -> Iterator[tuple[str, yaml.Node]]:
        """Yield keys and values that `<<` merges in, by descending precedence."""
        for key_node, value_node in node.value:
            if key_node.tag != _TAG + "merge":
                continue
            sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            if depth > MOST_DEPTH or not all(isinstance(source, yaml.MappingNode) for source in sources):
                self._problem(path, "`<<` takes an alias of a map, or a list of such aliases")
                continue
            for source in sources:
                yield from (
                    (str(key.value), value)
                    for key, value in source.value
                    if key.tag != _TAG + "merge" and isinstance(key, yaml.ScalarNode)
                )
                yield from self._merged(source, path, depth + 1)

    def _text(self, node: yaml.Node, path: KeyPath) -> str:
        """Return the scalar's text; report lone surrogates: YAML escapes allow them, UTF-8 doesn't."""
        text = str(node.value)
        whole = text.encode("utf-8", "replace").decode()
        if whole != text:
            message = "half a character (a surrogate, `\\ud800` to `\\udfff`); write the whole character"
            self._problem(path, message, node.start_mark.line + 1)
        return whole

    def _problem(self, path: KeyPath, message: str, line: int = 0) -> None:
        self.document.problems.append(Problem(path, message, line))
