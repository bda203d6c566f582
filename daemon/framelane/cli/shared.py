"""Shared by all commands: the Typer application, common options, and the report of findings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from framelane.core.errors import ConfigError

if TYPE_CHECKING:
    from framelane.core.errors import Finding

cli = typer.Typer(
    name="framelane",
    help="Many cameras in, detections on MQTT out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigPath = Annotated[Path, typer.Argument(help="The YAML file.", metavar="CONFIG")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Seconds = Annotated[float, typer.Option(min=0.5, help="Seconds to measure.")]


def refuse(file: Path, findings: list[Finding]) -> NoReturn:
    """Print the findings and end with the exit code of a wrong configuration."""
    for finding in findings:
        typer.echo(for_journal(finding.within(file)), err=True)
    raise typer.Exit(ConfigError.exit_code)


def for_journal(text: str) -> str:
    """Return an error's text, marked as an error if it goes to the journal."""
    import logging

    from framelane.core.systemd import is_journal, with_priority

    return with_priority(text, logging.ERROR) if is_journal(sys.stderr) else text
