"""Describes what the schema allows and what a file contains, in an operator's words."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from framelane.config.sections.schema import Config
from framelane.config.sections.section import (
    IDENTIFIER_PATTERN,
    PREFIX_PATTERN,
    SIZE_PATTERN,
    TIME_OF_DAY_PATTERN,
)
from framelane.config.suggest import listed
from framelane.core.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.config.keypath import KeyPath, Node

Schema = dict[str, Any]

_PATTERNS = {
    IDENTIFIER_PATTERN: "a name of 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or a digit",
    SIZE_PATTERN: "bytes, such as `512MiB`, `4GiB`, `2GB` or `1000000`",
    TIME_OF_DAY_PATTERN: "a time of day from `00:00` to `23:59`",
    PREFIX_PATTERN: "topic levels without `#`, `+`, or `/` at an end",
}
_LONGEST_SHOWN = 60
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum")
_SECRET_KEYS = {"url", "preview_url", "password", "token", "ffmpeg"}


@cache
def root_schema() -> Schema:
    """Return pydantic's JSON Schema of the whole file."""
    return Config.model_json_schema()


def resolve(schema: Schema) -> Schema:
    """Follow a `$ref`."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return root_schema()["$defs"][name] if name else schema


def schema_at(path: KeyPath) -> Schema:
    """Return the schema of the value at a path; empty if no value is allowed there."""
    schema = root_schema()
    for part in path:
        schema = next((below for option in _options(schema) if (below := _below(option, part))), {})
    return schema


def _options(schema: Schema) -> list[Schema]:
    schema = resolve(schema)
    options = schema.get("anyOf") or schema.get("oneOf")
    return [schema] if options is None else [below for option in options for below in _options(option)]


def _below(schema: Schema, part: str | int) -> Schema:
    if isinstance(part, int):
        found = schema.get("items", {})
    else:
        anything: Any = schema.get("additionalProperties") or next(
            iter(schema.get("patternProperties", {}).values()), {}
        )
        found = schema.get("properties", {}).get(part) or anything
    return found if isinstance(found, dict) else {}


def keys_at(path: KeyPath) -> list[str]:
    """Return the known keys of the section at a path."""
    return [key for option in _options(resolve(schema_at(path))) for key in option.get("properties", {})]


def allowed(schema: Schema) -> str:
    """Describe what a schema allows: `a number above 0 and at most 1000, or null`."""
    options = [option for option in _options(schema) if option.get("type") != "null"]
    texts = [_allowed_one(option) for option in options]
    nullable = len(options) < len(_options(schema))
    text = ", or ".join(texts)
    return f"{text}{',' if ' ' in text else ''} or null" if nullable else text


def _allowed_one(schema: Schema) -> str:
    if "enum" in schema:
        return listed(f"`{value}`" for value in schema["enum"])
    return _BY_TYPE.get(schema.get("type", ""), _text)(schema)


def _text(schema: Schema) -> str:
    return _PATTERNS.get(schema.get("pattern", ""), "text")


def _map_of(schema: Schema) -> str:
    values = schema.get("additionalProperties") or {}
    most = schema.get("maxProperties")
    size = " of at least one" if schema.get("minProperties") else f" of at most {most}" if most else ""
    return f"a map from names to {allowed(values)}" if "type" in values else f"a map{size}"


def _list_of(schema: Schema) -> str:
    items = resolve(schema["items"])
    if items.get("type") == "object":
        return "a list of maps"
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    count = f"{most} " if most == least else f"{least} to {most} " if most is not None else ""
    more = ", at least one" if not count and least == 1 else ""
    if allowed(items) == "text":
        return f"a list of {count}texts{more}"
    if items.get("type") == "array":
        # The only lists within a list are points.
        return f"a list of {count}points [x, y], each {allowed(items['items'])}"
    return f"a list of {count}items{more}, each {allowed(items)}"


def _range(schema: Schema) -> str:
    # Pydantic writes a limit as 1 or as 1.0, depending on its version.
    bounds = {
        key: int(value) if value == int(value) else value for key, value in schema.items() if key in _BOUNDS
    }
    least, above, most = (bounds.get(key) for key in _BOUNDS)
    if least is not None:
        return f" from {least} to {most}" if most is not None else f" of {least} or more"
    if above is None:
        return f" of at most {most}" if most is not None else ""
    return f" above {above}" + (f" and at most {most}" if most is not None else "")


_BY_TYPE: dict[str, Callable[[Schema], str]] = {
    "number": lambda schema: "a number" + _range(schema),
    "integer": lambda schema: "a whole number" + _range(schema),
    "boolean": lambda _: "`true` or `false`",
    "array": _list_of,
    "object": _map_of,
    "string": _text,
}


def given(path: KeyPath, value: Node, written: Node) -> str:
    """Describe the value at a path, but never a secret; `written` is its text before substitution."""
    if not isinstance(value, str):
        return _shape(value)
    if not value:
        return "an empty text"
    if not _SECRET_KEYS.isdisjoint(path):
        return "something else"
    if isinstance(written, str) and written != value:
        return f"what `{written}` holds"
    text = redact(value)
    return f"`{text[:_LONGEST_SHOWN]}...`" if len(text) > _LONGEST_SHOWN else f"`{text}`"


def _shape(value: Node) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, dict):
        return "a map" if value else "an empty map"
    return "nothing"
