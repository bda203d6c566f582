"""The `framelane` command: run, reload, check, schema, probe, init, rules, demo, bench, engine and model.

Exit codes: 0 success; 1 failure; 2 wrong configuration or command line; 3 unusable model; 70 this process has
lost the GPU; 128 + n a second signal n while stopping.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from framelane import __version__
from framelane.cli.shared import cli, for_journal
from framelane.core.errors import FramelaneError
from framelane.core.hugepages import use_huge_pages

# isort: off
# Each module adds its command, in the order of the help text.
from framelane.cli import run, reload, check, schema, probe, init, rules, demo, bench, engine, model  # noqa: F401
# isort: on


@cli.callback(invoke_without_command=True)
def version(*, show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Handle the options of the command itself."""
    if show:
        typer.echo(f"framelane {__version__}")
        raise typer.Exit


def entry() -> None:
    """Start the process. `run` starts itself a second time if that gets huge pages."""
    if sys.argv[1:2] == ["run"]:
        use_huge_pages()
    main()


def main() -> None:
    """Run the command; a FramelaneError ends it with its message and exit code."""
    try:
        cli()
    except FramelaneError as error:
        from framelane.core.redact import redact

        sys.stderr.write(f"{for_journal(f'framelane: {redact(str(error))}')}\n")
        sys.stderr.flush()
        if error.ends_at_once:
            sys.stdout.flush()
            os._exit(error.exit_code)
        sys.exit(error.exit_code)
