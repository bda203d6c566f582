"""The command `framelane probe`."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
import typer

from framelane.cli.shared import AsJson, Seconds, cli


@cli.command()
def probe(
    url: Annotated[str, typer.Argument(help="Camera, file or device.", metavar="URL")],
    *,
    seconds: Seconds = 3.0,
    transport: Annotated[Literal["tcp", "udp"], typer.Option(help="For rtsp://.")] = "tcp",
    video: Annotated[
        int | None, typer.Option(min=0, help="Which video of several, from 0; the largest by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Open a stream as `run` does and show its codec, size, frames per second, clock and reader."""
    from framelane.config.checks.warnings import url_oddity
    from framelane.sources.probe import probe_stream, render

    oddity = url_oddity(url)
    if oddity:
        typer.echo(f"warning: {oddity}", err=True)
    report = probe_stream(url, seconds, transport, video=video)
    typer.echo(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2) if as_json else render(report))
