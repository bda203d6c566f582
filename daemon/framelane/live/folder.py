"""The folder of streams that the daemon keeps itself: one file a stream, and a look whether others changed any."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from framelane.config.document import parse_document, written_as_yaml
from framelane.config.dropins import Fingerprint, fingerprint
from framelane.config.written import Entry, Place
from framelane.core.errors import ConflictError

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.keypath import Node

MARK = "# Written by Framelane for /api/streams, which changes and deletes this file.\n"


class StreamFolder:
    """Writes `<id>.yaml` files, deletes its own alone, and notices what others write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = fingerprint(path)
        self._pending: Fingerprint | None = None

    def file_of(self, stream: str) -> Path:
        """Where a stream is kept."""
        return self._path / f"{stream}.yaml"

    def owns(self, file: Path) -> bool:
        """Whether we wrote a file."""
        try:
            with file.open(encoding="utf-8") as text:
                return text.readline() == MARK
        except (OSError, UnicodeDecodeError):
            return False

    def entry(self, stream: str, options: Node) -> tuple[Entry, str]:
        """A stream as it will stand in its file, and the file's text."""
        text = MARK + written_as_yaml(options)
        return Entry(options, Place(parse_document(text), (), str(self.file_of(stream)))), text

    def write(self, stream: str, text: str) -> None:
        """Replace or make a stream's file, whole or not at all; it may hold a password, so it is ours alone to read.

        Raises:
            ConflictError: somebody else's file has that name, or it can't be written.
        """
        file = self.file_of(stream)
        if file.exists() and not self.owns(file):
            raise ConflictError(f"{file} is written by hand, and would be overwritten; remove or rename it")
        fresh = file.with_name(f".{file.name}.new")
        try:
            self._path.mkdir(exist_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(file)
            self._sync()
        except OSError as error:
            raise _cant_keep(file, error) from error
        self._note(file)

    def delete(self, stream: str) -> None:
        """Delete a stream's file, if there is one of ours; raises ConflictError where that can't be."""
        file = self.file_of(stream)
        if not self.owns(file):
            return
        try:
            file.unlink()
            self._sync()
        except OSError as error:
            raise _cant_keep(file, error) from error
        self._note(file)

    def changed(self) -> bool:
        """Whether others changed any file, once it has stayed the same from one call to the next."""
        now = fingerprint(self._path)
        settled = now != self._seen and now == self._pending
        self._pending = now
        if settled:
            self._seen = now
        return settled

    def _sync(self) -> None:
        """A name that is not on the disk yet is lost with the power."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _note(self, file: Path) -> None:
        """What we did ourselves is no news."""
        now = fingerprint(self._path).get(file.name)
        others = {name: seen for name, seen in self._seen.items() if name != file.name}
        self._seen = others if now is None else {**others, file.name: now}


def _cant_keep(file: Path, error: OSError) -> ConflictError:
    return ConflictError(
        f"{file} can't be changed: {error.strerror or error}; make the folder writable to the daemon, "
        "or add ?persist=false for a change that lasts until the files are read again"
    )
