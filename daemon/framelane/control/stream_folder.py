"""Stores streams in `streams_dir`, one file per stream, and notices changes by others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from framelane.config.yaml.document import parse_document, written_as_yaml
from framelane.config.yaml.dropins import Fingerprint, fingerprint
from framelane.config.yaml.written import Entry, Place
from framelane.core.errors import NotStoredError
from framelane.core.folders import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.keypath import Node

MARK = "# Written by Framelane for /api/streams, which changes and deletes this file.\n"


class StreamFolder:
    """Writes `<id>.yaml` files, deletes only its own, and notices what others write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = fingerprint(path)
        self._pending: Fingerprint | None = None

    def file_of(self, stream: str) -> Path:
        """Return the path of a stream's file."""
        return self._path / f"{stream}.yaml"

    def owns(self, file: Path) -> bool:
        """Return whether Framelane wrote a file."""
        try:
            with file.open(encoding="utf-8") as text:
                return text.readline() == MARK
        except (OSError, UnicodeDecodeError):
            return False

    def entry(self, stream: str, options: Node) -> tuple[Entry, str]:
        """Return a stream as its file will contain it, and the file's text."""
        text = MARK + written_as_yaml(options)
        return Entry(options, Place(parse_document(text), (), str(self.file_of(stream)))), text

    def write(self, stream: str, text: str) -> None:
        """Create or replace a stream's file atomically, with mode 0600, as it may contain a password.

        Raises:
            NotStoredError: A file that Framelane didn't write has that name, or the file can't be written.
        """
        file = self.file_of(stream)
        if file.exists() and not self.owns(file):
            text = "was not written by Framelane and would be overwritten; remove or rename it"
            raise NotStoredError(f"{file} {text}")
        fresh = file.with_name(f".{file.name}.new")
        try:
            self._path.mkdir(exist_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(file)
            sync_folder(self._path)
        except OSError as error:
            raise _write_failed(file, error) from error
        self._note(file)

    def delete(self, stream: str) -> None:
        """Delete a stream's file if Framelane wrote it.

        Raises:
            NotStoredError: The file can't be deleted.
        """
        file = self.file_of(stream)
        if not self.owns(file):
            return
        try:
            file.unlink()
            sync_folder(self._path)
        except OSError as error:
            raise _write_failed(file, error) from error
        self._note(file)

    def changed(self) -> bool:
        """Return whether others changed any file and all have been stable since the previous call."""
        now = fingerprint(self._path)
        settled = now != self._seen and now == self._pending
        self._pending = now
        if settled:
            self._seen = now
        return settled

    def _note(self, file: Path) -> None:
        """Record our own change of a file, so that `changed` doesn't report it."""
        now = fingerprint(self._path).get(file.name)
        others = {name: seen for name, seen in self._seen.items() if name != file.name}
        self._seen = others if now is None else {**others, file.name: now}


def _write_failed(file: Path, error: OSError) -> NotStoredError:
    return NotStoredError(
        f"{file} can't be changed: {error.strerror or error}; make the folder writable by the daemon, "
        "or add ?persist=false for a change that lasts until the files are read again"
    )
