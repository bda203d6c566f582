"""Requests and replies of `/api/streams`, as /openapi.json describes them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr, WithJsonSchema

from framelane.config.sections.stream import StreamConfig
from framelane.web.problem import ProblemReply

_SHOWN_URL = {"type": "string", "description": "Without credentials."}


class StreamReply(StreamConfig):
    """A stream with its effective options."""

    url: Annotated[SecretStr, WithJsonSchema(_SHOWN_URL)]
    preview_url: Annotated[SecretStr | None, WithJsonSchema(_SHOWN_URL | {"type": ["string", "null"]})] = None
    source: str = Field(description="The file that contains the stream, or `http`.")
    persisted: bool = Field(description="Whether that file matches the effective options.")


class OutcomeReply(BaseModel):
    """The outcome of a change."""

    added: list[str] = Field(description="Ids of added streams.")
    changed: list[str] = Field(description="Ids of changed streams.")
    reopened: list[str] = Field(
        description="Ids of changed streams whose cameras are opened again; others continue without a gap."
    )
    removed: list[str] = Field(description="Ids of removed streams.")
    took_ms: float = Field(description="Milliseconds from request to effect; cameras connect after that.")
    stream: StreamReply | None = Field(description="The stream, after POST and PATCH.")


class FindingReply(BaseModel):
    """One problem in a configuration."""

    path: str = Field(description="Key path within the request, or within `file`.")
    message: str
    file: str = Field(description="The file; empty for the request and the main file.")
    line: int = Field(description="The line in that file; 0 if there is none.")


class RefusalReply(ProblemReply):
    """Why a change was not made."""

    findings: list[FindingReply] = Field(description="Everything wrong with a configuration, at once.")
    not_stored: bool = Field(
        default=False,
        description="Whether the change can't be stored, but `?persist=false` would make it, "
        "until the files are read again.",
    )


def new_stream_schema(ref_template: str) -> dict[str, Any]:
    """Return the schema of a new stream: `id`, `url` and any option of `streams` in the YAML file."""
    return StreamConfig.model_json_schema(ref_template=ref_template)


def probed_stream_schema(ref_template: str) -> dict[str, Any]:
    """Return the schema of a stream to probe: `url`, and any option of a stream but `id`."""
    schema = new_stream_schema(ref_template)
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key != "id"}
    schema |= {"title": "ProbedStream", "description": "A stream to open once.", "required": ["url"]}
    return schema


def stream_change_schema(ref_template: str) -> dict[str, Any]:
    """Return the schema of a change: any options of a stream."""
    schema = new_stream_schema(ref_template)
    del schema["required"]
    schema |= {"title": "StreamChange", "description": "Options to change; all others stay."}
    return schema
