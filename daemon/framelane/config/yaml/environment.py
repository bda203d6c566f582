"""Substitutes `${NAME}` and `${NAME:-fallback}` after YAML is parsed, so that no value adds structure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from framelane.config.keypath import KeyPath, Node, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")
_CONTENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_BEFORE_USERINFO = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]*")
_AFTER_USERINFO = re.compile(r"(?:\$\{[^{}]*\}|[^/?#\s])*@")
_BREAKS_URL = re.compile(r"[/?#@\[\]\\\s]|%(?![0-9A-Fa-f]{2})")


def substitute(data: Node, environ: Mapping[str, str], path: KeyPath = ()) -> tuple[Node, list[Problem]]:
    """Replace every variable in the data; a text with a missing variable becomes null and a problem."""
    problems: list[Problem] = []
    if isinstance(data, dict):
        pairs = {key: substitute(value, environ, (*path, key)) for key, value in data.items()}
        problems = [problem for _, found in pairs.values() for problem in found]
        return {key: value for key, (value, _) in pairs.items()}, problems
    if isinstance(data, list):
        items = [substitute(value, environ, (*path, index)) for index, value in enumerate(data)]
        problems = [problem for _, found in items for problem in found]
        return [value for value, _ in items], problems
    if data is None or "${" not in data:
        return data, problems
    try:
        return _expand(data, environ), problems
    except LookupError as error:
        return None, [Problem(path, str(error.args[0]))]


def _expand(text: str, environ: Mapping[str, str]) -> str:
    """Replace the variables of one text; percent-encode values in the `user:password@` of a URL."""

    def value_of(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        value = _lookup(match, environ)
        in_userinfo = _BEFORE_USERINFO.fullmatch(text[: match.start()]) and _AFTER_USERINFO.match(
            text[match.end() :]
        )
        return _BREAKS_URL.sub(lambda found: quote(found[0], safe=""), value) if in_userinfo else value

    return _VARIABLE.sub(value_of, text)


def _lookup(match: re.Match[str], environ: Mapping[str, str]) -> str:
    content = _CONTENT.fullmatch(match[1])
    if content is None or not match[2]:
        raise LookupError(
            "`${` doesn't begin a `${NAME}` or `${NAME:-fallback}`; write `$${` for a literal `${`"
        )
    name, fallback = content.groups()
    if fallback is not None:
        return environ.get(name) or fallback
    if name not in environ:
        raise LookupError(
            f"the environment has no variable `{name}`; set it, or write `${{{name}:-fallback}}`"
        )
    return environ[name]
