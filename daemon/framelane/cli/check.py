"""The command `framelane check`."""

from __future__ import annotations

import os

import typer

from framelane.cli.shared import ConfigPath, cli, refuse


@cli.command()
def check(config: ConfigPath) -> None:
    """Report all problems of a configuration and its models; exit 2 if there are any."""
    from framelane.cli.check_report import check_all
    from framelane.core.log import setup

    setup("error", "console")
    findings, warnings = check_all(config, os.environ)
    for warning in warnings:
        typer.echo(f"warning: {warning.within(config)}", err=True)
    if findings:
        refuse(config, findings)
    typer.echo(f"{config}: ok")
