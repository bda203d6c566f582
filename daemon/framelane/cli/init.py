"""The command `framelane init`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from framelane.cli.shared import cli
from framelane.core.errors import ConfigError, Finding

if TYPE_CHECKING:
    from framelane.config.starter.first_file import FirstFile
    from framelane.config.starter.hidden_secrets import Hidden

_PLACEHOLDER = "1"
"""Stands for a variable that is not set here: it can be a host, a port, a password and a path."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The contents of a first file.

    Attributes:
        urls: of the cameras, with their passwords.
        names: ids of the first cameras; the rest get `cam1` and so on.
        model: a name, or an ONNX file; None if not known yet.
        labels: of the model, if given.
        broker: its URL, `none`, or None if not known yet.
    """

    urls: list[str]
    names: list[str]
    model: str | None
    labels: str | None
    broker: str | None


@cli.command()
def init(
    path: Annotated[Path, typer.Argument(help="The YAML file to write.", metavar="FILE")] = Path(
        "framelane.yaml"
    ),
    *,
    url: Annotated[
        list[str] | None, typer.Option(help="A camera: rtsp://..., a file, /dev/video0; may be repeated.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--id", help="Id of a camera, in the order of --url; cam1 ... by default."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="An ONNX file, or a name of `framelane model list`.")
    ] = None,
    demo_model: Annotated[
        bool, typer.Option("--demo-model", help="The model that comes with Framelane, for a first look.")
    ] = False,
    labels: Annotated[
        str | None, typer.Option(help="`coco`, or a text file of class names, if the model lacks them.")
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(help="mqtt://... or mqtts://...; `none` to print detections; local by default."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a first configuration file, with comments, from options or from answers on a terminal.

    Passwords go to variables, not into the file. The file is checked as `framelane check` does before it is
    written.
    """
    if demo_model and model is not None:
        _refuse("both --model and --demo-model are given; keep one")
    if path.exists() and not force:
        _refuse(f"{path} exists; choose another name, or replace it with --force")
    given = Answers(url or [], name or [], "demo" if demo_model else model, labels, broker)
    answers = _complete(given)
    first = _first_file(answers, path.parent)
    _write(first, path, force=force)
    _say_what_is_next(first, path)


def _refuse(message: str) -> NoReturn:
    raise ConfigError([Finding("", message)])


def _complete(given: Answers) -> Answers:
    """Return the answers with everything known; asks on a terminal for what is missing.

    Raises:
        ConfigError: something is missing, and there is no terminal.
    """
    from framelane.cli.init_questions import DEFAULT_BROKER, ask_broker, ask_cameras, ask_model
    from framelane.config.built_in_models import BUILT_IN_MODELS
    from framelane.models.catalog.catalog import read_catalogs

    answers = given
    missing = [option for option, value in (("--url", given.urls), ("--model", given.model)) if not value]
    if missing and not sys.stdin.isatty():
        _refuse(f"{' and '.join(missing)} missing, and there is no terminal to ask on")
    if not answers.urls:
        urls, names = ask_cameras()
        answers = replace(answers, urls=urls, names=names)
    if answers.model is None:
        answers = replace(answers, model=ask_model([*BUILT_IN_MODELS, *read_catalogs([], os.environ)]))
    if answers.broker is None:
        answers = replace(answers, broker=ask_broker() if missing else DEFAULT_BROKER)
    return answers


def _first_file(answers: Answers, folder: Path) -> FirstFile:
    """Return the file's content.

    Raises:
        ConfigError: an address or the model is wrong.
    """
    from framelane.cli.init_model import chosen_model
    from framelane.cli.init_questions import NO_BROKER
    from framelane.config.address import AddressError
    from framelane.config.starter.first_file import FirstFile
    from framelane.config.starter.hidden_secrets import hide_in_broker

    try:
        broker = answers.broker or NO_BROKER
        mqtt, secrets = (None, ()) if broker == NO_BROKER else hide_in_broker(broker)
    except AddressError as error:
        _refuse(f"--broker: {error}")
    cameras = _cameras(answers, folder, {secret.name for secret in secrets})
    model = chosen_model(answers.model or "", answers.labels, folder)
    secrets += tuple(secret for camera in cameras for secret in camera.secrets)
    streams = list(zip(_names(answers), (camera.text for camera in cameras), strict=True))
    return FirstFile(streams, model.name, model.section, mqtt, secrets, model.note)


def _cameras(answers: Answers, folder: Path, taken: set[str]) -> list[Hidden]:
    """Return the URL of each camera without secrets; paths as the YAML file names them."""
    from framelane.cli.init_model import within
    from framelane.config.address import AddressError, source_kind
    from framelane.config.starter.hidden_secrets import Hidden, hide_in_source, variables_in

    taken |= set(variables_in(" ".join(answers.urls)))
    cameras = []
    for name, url in zip(_names(answers), answers.urls, strict=True):
        try:
            is_path = source_kind(url) == "path"
            hidden = Hidden(within(folder, url)) if is_path else hide_in_source(url, name, taken)
        except AddressError as error:
            _refuse(f"the URL of {name}: {error}")
        taken |= {secret.name for secret in hidden.secrets}
        cameras.append(hidden)
    return cameras


def _names(answers: Answers) -> list[str]:
    """Return the id of each camera."""
    given, count = answers.names, len(answers.urls)
    if len(given) > count:
        _refuse(f"{len(given)} --id are given for {count} --url; give each camera one at most")
    return [*given, *(f"cam{number + 1}" for number in range(len(given), count))]


def _write(first: FirstFile, path: Path, *, force: bool) -> None:
    """Write the file if it passes the check.

    Raises:
        ConfigError: it does not, or it can't be written.
    """
    from framelane.cli.check_report import check_all
    from framelane.config.starter.hidden_secrets import variables_in
    from framelane.core.log import setup

    setup("error", "console")
    text = first.text()
    known = dict.fromkeys(variables_in(text), _PLACEHOLDER) | dict(os.environ)
    known |= {secret.name: secret.value for secret in first.secrets}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        findings, warnings = check_all(draft, known)
        for warning in warnings:
            typer.echo(f"warning: {warning.within(path)}", err=True)
        if findings:
            unwritten = Finding("", f"{path} is not written, because it would not pass the check:")
            raise ConfigError([unwritten, *(replace(finding, file="", line=0) for finding in findings)])
        if force:
            draft.replace(path)
        else:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise ConfigError([Finding("", f"can't write {path}: {error.strerror or error}")]) from error
    finally:
        draft.unlink(missing_ok=True)


def _say_what_is_next(first: FirstFile, path: Path) -> None:
    typer.echo(f"{path}: written, and it passes the check")
    if first.secrets:
        typer.echo("It leaves secrets to variables. For this shell:")
        for secret in first.secrets:
            typer.echo(f"  read -rs {secret.name} && export {secret.name}   # {secret.meaning}")
    typer.echo(f"Next: framelane run {path}")
