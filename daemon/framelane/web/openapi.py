"""Adds to /openapi.json what FastAPI can't infer: bodies that routes read themselves, and refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framelane.messages import schemas
from framelane.web.problem import ProblemReply
from framelane.web.stream_replies import (
    RefusalReply,
    new_stream_schema,
    probed_stream_schema,
    stream_change_schema,
)

if TYPE_CHECKING:
    from fastapi import FastAPI

_REFS = "#/components/schemas/{model}"


def describe_fully(app: FastAPI) -> None:
    """Make the application's OpenAPI description include every schema that its routes refer to."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        description = generate()
        known = description.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in _schemas().items():
            known.setdefault(name, schema)
        return description

    # FastAPI's documented way to extend the description.
    app.openapi = openapi  # type: ignore[method-assign]


def _schemas() -> dict[str, Any]:
    named = {
        "NewStream": new_stream_schema(_REFS),
        "ProbedStream": probed_stream_schema(_REFS),
        "StreamChange": stream_change_schema(_REFS),
        "ProblemReply": ProblemReply.model_json_schema(ref_template=_REFS),
        "RefusalReply": RefusalReply.model_json_schema(ref_template=_REFS),
        "Event": _message("event"),
    }
    parts = {name: part for schema in named.values() for name, part in schema.pop("$defs", {}).items()}
    return {**parts, **named}


def _message(name: str) -> dict[str, Any]:
    """Return the schema of a message, without what tells it from others outside this description."""
    return {key: value for key, value in schemas.load(name).items() if not key.startswith("$")}
