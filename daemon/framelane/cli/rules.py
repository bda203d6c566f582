"""The command `framelane rules test`."""

from __future__ import annotations

import os
import time
from pathlib import Path  # noqa: TC003 - Typer reads annotations
from typing import TYPE_CHECKING, Annotated

import typer

from framelane.cli.shared import AsJson, ConfigPath, cli

if TYPE_CHECKING:
    from framelane.core.events import Event

rules = typer.Typer(help="Try lines and zones before they go live.", no_args_is_help=True)
cli.add_typer(rules, name="rules")


@rules.callback()
def _group() -> None:
    """Keep `test` a command of its own, although it is the only one."""


@rules.command("test")
def rules_test(
    config: ConfigPath,
    *,
    stream: Annotated[str, typer.Option(help="The stream whose model, options and rules to use.")],
    clip: Annotated[
        str | None,
        typer.Option(help="A recording; the stream's own `url` if that is a file.", metavar="FILE"),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Its true tracks in MOTChallenge's format.", metavar="MOT.txt")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Draw rules, tracks and counts on a frame.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a recording through a stream's model, tracker and rules, and show what they would count."""
    from framelane.config.yaml.load import load_config
    from framelane.core.log import setup
    from framelane.measure import report
    from framelane.measure.rules.report import EventLines
    from framelane.measure.rules.run import RulesTest, run_rules_test

    setup("warning", "console")
    loaded = load_config(config, os.environ)
    names = [name for each in loaded.streams if each.id == stream for name in (*each.lines, *each.zones)]
    lines = EventLines(names)

    def say(event: Event) -> None:
        if not as_json:
            typer.echo(lines.lines(event))

    began_s = time.monotonic()
    found = run_rules_test(loaded, RulesTest(stream, clip, truth, png), say)
    took_s = time.monotonic() - began_s
    report.show(found, as_json=as_json)
    if found.remark:
        typer.echo(f"warning: {found.remark}", err=True)
    speed = found.seconds / took_s
    typer.echo(f"{found.frames} frames, {found.seconds:.1f} s, in {took_s:.1f} s ({speed:.1f} x)", err=True)
