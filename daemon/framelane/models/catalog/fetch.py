"""Fetches a model of a catalog into a folder, checked, and with what the daemon needs to use it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framelane.core.redact import redact
from framelane.models.catalog.errors import FetchError
from framelane.models.catalog.partial_file import PartialFile, no_space
from framelane.models.digest import file_digest

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.models.catalog.download import Download
    from framelane.models.catalog.entry import CatalogEntry


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model that is there.

    Attributes:
        path: its file.
        section: the model's section in a YAML file beside which the folder is.
        was_there: whether nothing had to be downloaded.
    """

    path: Path
    section: dict[str, Any]
    was_there: bool


def fetch(entry: CatalogEntry, folder: Path, download: Download, *, force: bool) -> Fetched:
    """Download a model into a folder unless it is there, and check it against the catalog.

    Args:
        entry: the model.
        folder: where it goes; made if it is missing.
        download: how to get it.
        force: whether another file of that name is replaced.

    Raises:
        FetchError: it can't be downloaded, is not the file of the catalog, or another file has its name.
    """
    target = folder / entry.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = _is_there(target, entry, force=force)
        if not there:
            _get(entry, target, download)
        return Fetched(target, _section(entry, target), there)
    except OSError as error:
        raise FetchError(f"can't write {error.filename or target}: {error.strerror or error}") from error


def _is_there(target: Path, entry: CatalogEntry, *, force: bool) -> bool:
    if not target.exists():
        return False
    found = file_digest(target).hex()
    if found != entry.sha256 and not force:
        raise FetchError(
            f"{target} is another file than the catalog's (SHA-256 {found}, not {entry.sha256}); "
            "move it away, or replace it with --force"
        )
    return found == entry.sha256


def _get(entry: CatalogEntry, target: Path, download: Download) -> None:
    with PartialFile(target, entry.sha256) as part:
        free, missing = shutil.disk_usage(target.parent).free, entry.size - part.length
        if free < missing:
            part.discard()
            raise no_space(target, f"{missing} bytes are missing and {free} free")
        resumed = part.length > 0
        download.into(part)
        found = file_digest(part.path).hex()
        if resumed and found != entry.sha256:
            # The beginning may be of another version, or a crash may have lost some of it.
            part.restart()
            download.into(part)
            found = file_digest(part.path).hex()
        if found != entry.sha256:
            part.discard()
            raise FetchError(
                f"{redact(entry.url)} is not the file of the catalog: its SHA-256 is {found}, not {entry.sha256}; "
                "nothing was kept. Do not use that file before you know why it differs"
            )
        part.publish()


def _section(entry: CatalogEntry, target: Path) -> dict[str, Any]:
    """Return the model's section; a list of labels becomes a file beside the model."""
    labels = entry.settings.get("labels")
    section: dict[str, Any] = {"path": str(target), **entry.settings}
    if isinstance(labels, list):
        file = target.with_suffix(".labels.txt")
        file.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
        section["labels"] = str(file)
    return section
