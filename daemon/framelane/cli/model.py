"""The commands `framelane model`: list, fetch and inspect."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from framelane.cli.shared import AsJson, cli

if TYPE_CHECKING:
    from framelane.config.sections.model import ModelConfig
    from framelane.models.catalog.download import Tell

model = typer.Typer(help="Models: list, fetch, inspect.", no_args_is_help=True)
cli.add_typer(model, name="model")

Folder = Annotated[Path, typer.Option(help="The folder of models.")]
Catalogs = Annotated[
    list[Path] | None,
    typer.Option("--catalog", help="A YAML file with more models, or other addresses; may be repeated."),
]


@model.command("list")
def list_models(
    *, folder: Folder = Path("models"), catalog: Catalogs = None, as_json: AsJson = False
) -> None:
    """List the models that can be fetched, with license and size, and which of them are in the folder."""
    from framelane.cli.model_tables import show_catalog
    from framelane.models.catalog.catalog import read_catalogs

    known = read_catalogs(catalog or [], os.environ)
    there = {name for name, entry in known.items() if (folder / entry.file).is_file()}
    if as_json:
        rows = [{"name": name, "there": name in there, **entry.shown()} for name, entry in known.items()]
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    else:
        show_catalog(known, there)


@model.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name of `framelane model list`.", metavar="NAME")],
    *,
    folder: Folder = Path("models"),
    catalog: Catalogs = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another file of that name.")] = False,
) -> None:
    """Download a model, check its SHA-256, and print the YAML lines that use it.

    An interrupted download goes on where it stopped. Proxies and authorities are those of the variables
    https_proxy, no_proxy and SSL_CERT_FILE.
    """
    from framelane.cli.model_tables import download_bar
    from framelane.config.yaml.document import written_as_yaml
    from framelane.models.catalog.catalog import entry_of, read_catalogs
    from framelane.models.catalog.download import Download
    from framelane.models.catalog.fetch import fetch as fetch_model

    entry = entry_of(read_catalogs(catalog or [], os.environ), name)
    typer.echo(f"{name}: {entry.about}; license {entry.license}, {entry.source}", err=True)
    with ExitStack() as held:
        tell: Tell = held.enter_context(download_bar(entry.file)) if sys.stderr.isatty() else _quiet
        download = Download(entry.url, entry.size, tell, time.sleep)
        fetched = fetch_model(entry, folder, download, force=force)
    state = "was there" if fetched.was_there else "fetched"
    typer.echo(f"{fetched.path}: {state}, {entry.size / 1e6:.1f} MB, SHA-256 as pinned", err=True)
    typer.echo(f"# in a YAML file in {Path.cwd()}")
    typer.echo(written_as_yaml({"models": {name: fetched.section}}), nl=False)


@model.command()
def inspect(
    path: Annotated[str, typer.Argument(help="An ONNX file, or `demo`.", metavar="FILE")],
    *,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, if the file leaves the size open.")] = None,
    head: Annotated[str, typer.Option(help="Layout of the output, as `head` in a YAML file.")] = "auto",
    output: Annotated[str | None, typer.Option(help="The output to read, of several.")] = None,
    labels: Annotated[str, typer.Option(help="`auto`, `coco`, or a text file of class names.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Show a model's head, classes, input and outputs, how it was recognized, and what it finds on a street.

    Takes any file, and goes through the steps of a start, on the CPU. Exits with 3 if the daemon would refuse it,
    after showing what was found out.
    """
    from framelane.cli.model_tables import show_inspection
    from framelane.core.errors import ModelError
    from framelane.core.log import setup
    from framelane.models.inspection import inspect_model

    setup("error", "console")
    found = inspect_model(_section(path, {"size": size, "head": head, "output": output, "labels": labels}))
    if as_json:
        typer.echo(orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2))
    else:
        show_inspection(found)
    if found.error is not None:
        raise ModelError(found.error)


def _section(path: str, options: dict[str, str | None]) -> ModelConfig:
    """Return a model's section, made from command line options.

    Raises:
        ModelError: a value is not allowed.
    """
    from pydantic import ValidationError

    from framelane.config.built_in_models import model_file
    from framelane.config.sections.model import ModelConfig
    from framelane.core.errors import ModelError

    given: dict[str, object] = {name: value for name, value in options.items() if value is not None}
    if "size" in given:
        given["size"] = str(given["size"]).lower().split("x")
    try:
        return ModelConfig.model_validate({"path": str(model_file(path, Path())), **given})
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(f"--{first['loc'][0]}: {first['msg']}") from error


def _quiet(_done: int, _total: int) -> None:
    """Show no progress: standard error is no terminal."""
