"""The command `framelane schema`."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
import typer

from framelane.cli.shared import cli


@cli.command()
def schema(
    what: Annotated[
        Literal[
            "config",
            "asyncapi",
            "detections",
            "event",
            "zone",
            "line",
            "state",
            "status",
            "stats",
            "node-stats",
        ],
        typer.Argument(help="The YAML file, all MQTT topics (AsyncAPI 3.0), or one kind of message."),
    ] = "config",
) -> None:
    """Print a JSON Schema: of the YAML file for editors, of the MQTT messages for consumers."""
    from framelane.config.explain.jsonschema import json_schema
    from framelane.messages import schemas
    from framelane.messages.asyncapi import asyncapi

    makers = {"config": json_schema, "asyncapi": asyncapi}
    made = makers[what]() if what in makers else schemas.load(what)
    typer.echo(orjson.dumps(made, option=orjson.OPT_INDENT_2))
