"""Finds the model for `framelane init`, and how a YAML file names it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.config.built_in_models import BUILT_IN_MODELS
from framelane.config.checks.inheritance import BUILT_IN_LABELS
from framelane.config.starter.first_file import DEMO_NOTE
from framelane.core.errors import ConfigError, Finding
from framelane.models.catalog.catalog import read_catalogs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.models.catalog.entry import CatalogEntry


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model and its section, with a note on it."""

    name: str
    section: dict[str, Any]
    note: Sequence[str] = ()


def chosen_model(text: str, labels: str | None, folder: Path) -> ChosenModel:
    """Return the model that a name or a path refers to.

    Args:
        text: a built-in model, a name of the catalog, or an ONNX file.
        labels: the model's `labels`, if given.
        folder: the folder of the YAML file; paths in it are relative to this.

    Raises:
        ConfigError: there is no such model, or it is not fetched yet.
    """
    own = (
        {} if labels is None else {"labels": labels if labels in BUILT_IN_LABELS else within(folder, labels)}
    )
    if text in BUILT_IN_MODELS:
        return ChosenModel(text, {"path": text, **own}, DEMO_NOTE)
    catalog = read_catalogs([], os.environ)
    if text in catalog:
        entry = catalog[text]
        return ChosenModel(
            text, {"path": _fetched(text, entry, folder), **entry.settings, **own}, (entry.about,)
        )
    if not Path(text).is_file():
        known = ", ".join([*BUILT_IN_MODELS, *catalog])
        raise ConfigError(
            [Finding("", f"--model: there is no such file: {text}; models by name are {known}")]
        )
    return ChosenModel(_name(text), {"path": within(folder, text), **own})


def within(folder: Path, path: str) -> str:
    """Return how a YAML file in a folder names a path of the working directory."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
    try:
        relative = str(absolute.relative_to(os.path.abspath(folder)))  # noqa: PTH100 - likewise
    except ValueError:
        return str(absolute)
    return f"./{relative}" if relative in (*BUILT_IN_MODELS, *BUILT_IN_LABELS) else relative


def _fetched(name: str, entry: CatalogEntry, folder: Path) -> str:
    for place in (folder / "models", Path("models")):
        if (place / entry.file).is_file():
            return within(folder, str(place / entry.file))
    command = f"framelane model fetch {name} --folder {folder / 'models'}"
    raise ConfigError([Finding("", f"--model: {name} is not fetched yet; run `{command}`")])


def _name(path: str) -> str:
    """Return a name for a model file that a YAML file can use."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).stem).strip("._-")[:64] or "model"
