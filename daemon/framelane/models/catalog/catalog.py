"""Reads catalogs: the package's own, and those that operators name."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from framelane.config.address import credentials
from framelane.config.explain.wording import allowed, schema_at
from framelane.config.keypath import KeyPath, Problem, dotted
from framelane.config.sections.model import ModelConfig
from framelane.config.sections.section import Identifier
from framelane.config.suggest import unknown
from framelane.config.yaml.document import parse_document, read_text
from framelane.config.yaml.environment import substitute
from framelane.config.yaml.variables import Variables
from framelane.core.errors import ConfigError, Finding
from framelane.core.redact import register_secret
from framelane.models.catalog.entry import CatalogEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from framelane.config.yaml.document import Document

Catalog = dict[str, CatalogEntry]
_CATALOG = TypeAdapter(dict[Identifier, CatalogEntry])


def read_catalogs(paths: list[Path], environ: Mapping[str, str]) -> Catalog:
    """Return the package's catalog and those of these files; a later entry of a name replaces earlier ones.

    Raises:
        ConfigError: a file can't be read, or something in it is wrong; the error has all findings.
    """
    own = Path(os.fspath(files("framelane.models.catalog").joinpath("models.yaml")))  # type: ignore[call-overload]
    catalog: Catalog = {}
    for path in (own, *paths):
        catalog |= _read(path, environ)
    return catalog


def entry_of(catalog: Catalog, name: str) -> CatalogEntry:
    """Return the model of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in catalog:
        raise ConfigError([Finding("", f"{unknown('model', name, catalog)}; see `framelane model list`")])
    return catalog[name]


def _read(path: Path, environ: Mapping[str, str]) -> Catalog:
    text = read_text(path)
    try:
        document = parse_document(text)
    except ConfigError as error:
        raise ConfigError([_in_file(finding, path) for finding in error.findings]) from error
    data, missing = substitute(document.data or {}, Variables(environ))
    problems = [*document.problems, *missing]
    catalog: Catalog = {}
    try:
        catalog = _CATALOG.validate_python(data)
    except ValidationError as error:
        reported = {problem.path for problem in missing}
        problems += [problem for each in error.errors() if (problem := _problem(each)).path not in reported]
    for name, entry in catalog.items():
        problems += _wrong_settings(name, entry)
        register_secret(unquote(credentials(entry.url)[1]))
    if problems:
        raise ConfigError([_finding(problem, document, path) for problem in problems])
    return catalog


def _problem(error: Any) -> Problem:  # noqa: ANN401 - pydantic's ErrorDetails
    """Return the problem for an error, in an operator's words."""
    path: KeyPath = tuple(part for part in error["loc"] if part != "[key]")
    fields = CatalogEntry.model_fields
    if len(path) == 1 and error["loc"][-1] == "[key]":
        return Problem(path, "expected a name of letters, digits, `.`, `_` or `-`")
    if len(path) < 2:  # noqa: PLR2004 - a name, then a key
        return Problem(
            path, "expected a map of names, each with a map of `file`, `url`, `size`, `sha256` ..."
        )
    key = str(path[1])
    if key not in fields:
        return Problem(path, unknown("key", key, fields))
    what = "is missing" if error["type"] == "missing" else "has a wrong value"
    return Problem(path[:2], f"{what}; expected {fields[key].description}")


def _wrong_settings(name: str, entry: CatalogEntry) -> Iterator[Problem]:
    """Check the settings as `framelane check` would in the model's section."""
    path: KeyPath = (name, "settings")
    if "path" in entry.settings:
        yield Problem((*path, "path"), "is where the file is saved; remove it")
        return
    try:
        ModelConfig.model_validate({"path": entry.file, **entry.settings})
    except ValidationError as error:
        for each in error.errors():
            keys = tuple(part for part in each["loc"] if not str(part).startswith("<"))
            if each["type"] == "extra_forbidden":
                yield Problem((*path, *keys), unknown("key", str(keys[-1]), ModelConfig.model_fields))
            else:
                expected = allowed(schema_at(("models", "*", *keys)))
                yield Problem((*path, *keys), f"has a wrong value; expected {expected}")


def _finding(problem: Problem, document: Document, path: Path) -> Finding:
    line = problem.line or document.mark(problem.path)[0]
    return Finding(dotted(problem.path), problem.message, str(path), line)


def _in_file(finding: Finding, path: Path) -> Finding:
    return Finding(finding.path, finding.message, str(path), finding.line)
