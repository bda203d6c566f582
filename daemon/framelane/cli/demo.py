"""The command `framelane demo`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads annotations
from typing import Annotated

import typer

from framelane.cli.shared import cli


@cli.command()
def demo(
    *,
    streams: Annotated[int, typer.Option(min=1, max=64, help="Cameras to embed.")] = 4,
    seconds: Annotated[float, typer.Option(min=0, help="Seconds to run; 0 to run until Ctrl-C.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="No table; a JSON summary at the end.")] = False,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the live page; another if it is taken.")
    ] = 8080,
    picture: Annotated[Path | None, typer.Option(help="Save the last table as SVG.")] = None,
) -> None:
    """Run the daemon on embedded cameras, model and broker, and watch it work."""
    from framelane.demo.show import DemoOptions, run_demo

    run_demo(DemoOptions(streams, seconds, as_json, port, picture))
