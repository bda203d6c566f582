"""The command `framelane reload`."""

from __future__ import annotations

import os

import typer

from framelane.cli.shared import ConfigPath, cli
from framelane.core.errors import Finding


@cli.command()
def reload(config: ConfigPath) -> None:
    """Have the daemon that runs CONFIG reload it; exit 0 if it was applied, otherwise nothing has changed."""
    from framelane.control.reload_socket import ask_to_reload

    answer = ask_to_reload(config, os.environ)
    if answer["exit_code"]:
        for finding in answer["findings"]:
            typer.echo(Finding(*finding).within(config), err=True)
        raise typer.Exit(answer["exit_code"])
    counts = (f"{len(answer[what])} {what}" for what in ("added", "changed", "removed"))
    typer.echo(f"{config}: applied in {answer['took_s']:.2f} s, streams: {', '.join(counts)}")
