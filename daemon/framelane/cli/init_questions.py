"""Asks on a terminal for what the command line of `framelane init` leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from framelane.config.address import AddressError, parse_broker
from framelane.config.starter.hidden_secrets import hide_in_source

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_BROKER = "none"
DEFAULT_BROKER = "mqtt://127.0.0.1:1883"


def ask_cameras() -> tuple[list[str], list[str]]:
    """Return the URLs of at least one camera, and their ids."""
    urls: list[str] = []
    names: list[str] = []
    while True:
        more = "another camera (nothing to go on)" if urls else "camera (rtsp://..., a file, /dev/video0)"
        url = typer.prompt(more, default="" if urls else None, show_default=False).strip()
        if not url:
            return urls, names
        try:
            hide_in_source(url, "x", ())
        except AddressError as error:
            typer.echo(f"  {error}")
            continue
        urls.append(url)
        names.append(typer.prompt("  its id in topics", default=f"cam{len(urls)}").strip())


def ask_model(known: Sequence[str]) -> str:
    """Return the name of a model, or a file."""
    typer.echo(f"models by name: {', '.join(known)}")
    return str(typer.prompt("model (a name, or an ONNX file)", default=known[0])).strip()


def ask_broker() -> str:
    """Return the URL of a broker, or `none`."""
    while True:
        url = str(typer.prompt("MQTT broker, or `none` to print detections", default=DEFAULT_BROKER)).strip()
        try:
            if url != NO_BROKER:
                parse_broker(url)
        except AddressError as error:
            typer.echo(f"  {error}")
        else:
            return url
