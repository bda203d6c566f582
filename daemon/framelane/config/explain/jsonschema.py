"""The JSON Schema of the YAML file, for editors."""

from __future__ import annotations

import copy
from typing import Any

from framelane.config.explain.wording import root_schema

SCHEMA_ID = "https://framelane.dev/schemas/config-1.json"
_VARIABLE = {
    "title": "Variable",
    "description": "A value from the environment: ${NAME} or ${NAME:-fallback}.",
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}",
}
_NO_STREAMS_NEED = [
    {"properties": {"streams": {"minItems": 1}}},
    {"required": ["streams_dir"]},
    {"properties": {"http": {"required": ["listen"]}}, "required": ["http"]},
]
_NEVER_PLAIN_TEXT = {"number", "integer", "boolean"}


def json_schema() -> dict[str, Any]:
    """Return the schema of the whole file; like the loader, it accepts `${NAME}` for numbers and enums."""
    schema = copy.deepcopy(root_schema())
    definitions = {_title(name): _readable(section) for name, section in schema.pop("$defs").items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **_readable(schema),
        "title": "Framelane configuration",
        "description": "The YAML file that `framelane run` takes.",
        "anyOf": _NO_STREAMS_NEED,
        "patternProperties": {"^x-": {"description": "Ignored; a place for YAML anchors."}},
        "$defs": {**definitions, "variable": _VARIABLE},
    }


def _title(name: str) -> str:
    return name.removesuffix("Config").lower() if name != "StreamOptions" else "defaults"


def _readable(schema: Any) -> Any:  # noqa: ANN401 - a tree of JSON values
    if isinstance(schema, list):
        return [_readable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            # Pydantic's titles repeat the key.
            continue
        if key == "$ref":
            result[key] = f"#/$defs/{_title(value.rpartition('/')[2])}"
        elif key in ("properties", "patternProperties"):
            result[key] = {name: _readable(below) for name, below in value.items()}
        else:
            result[key] = value if key in ("default", "examples", "enum", "required") else _readable(value)
    return _or_variable(result)


def _or_variable(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") not in _NEVER_PLAIN_TEXT and "enum" not in schema:
        return schema
    told: dict[str, Any] = {
        key: schema.pop(key) for key in ("description", "default", "examples") if key in schema
    }
    return {**told, "anyOf": [schema, {"$ref": "#/$defs/variable"}]}
