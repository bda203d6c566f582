"""A file that is being downloaded: it gets its name only when it is whole and on the disk."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

from framelane.core.folders import sync_folder
from framelane.models.catalog.errors import FetchError

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path
    from types import TracebackType

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes of a partial file come from.

    Attributes:
        sha256: of the whole file, as the catalog says.
        validator: the server's ETag or Last-Modified, for If-Range; empty if it gave none.
    """

    sha256: str
    validator: str = ""


class PartialFile:
    """`NAME.part` beside the target, with `NAME.part.json`, which says where its bytes come from.

    A later run resumes from both. One process at a time holds them.

    Args:
        target: the file's name once it is whole.
        sha256: what the whole file is to hash to; bytes for another hash are thrown away.
    """

    def __init__(self, target: Path, sha256: str) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.origin = Origin(sha256)
        self.length = 0
        """Bytes so far."""
        self._note = target.with_name(f"{target.name}.part.json")
        self._file: FileIO | None = None

    def __enter__(self) -> PartialFile:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.length:
            self.discard()
        self.close()

    def open(self) -> None:
        """Take what an earlier run left.

        Raises:
            FetchError: another process is downloading it.
            OSError: the folder can't be written to.
        """
        self._file = self.path.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise FetchError(f"another process is downloading {self.target}; wait for it") from error
        left = self._left()
        if left is None:
            self.restart()
        else:
            self.origin = left
            self.length = self.path.stat().st_size

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def restart(self, validator: str = "") -> None:
        """Throw away all bytes, and note what the next ones are part of."""
        assert self._file is not None  # noqa: S101 - open
        self._file.truncate(0)
        self.length = 0
        self.origin = Origin(self.origin.sha256, validator)
        self._note.write_bytes(orjson.dumps(asdict(self.origin)))

    def write(self, chunk: bytes) -> None:
        """Add bytes at the end.

        Raises:
            FetchError: the disk is full; the bytes so far are thrown away, because others need the space.
            OSError: they can't be written.
        """
        assert self._file is not None  # noqa: S101 - open
        left = memoryview(chunk)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            if error.errno in _FULL:
                self.discard()
                raise no_space(self.target, str(error.strerror)) from error
            raise
        self.length += len(chunk)

    def publish(self) -> None:
        """Give the file its name, once its bytes are on the disk."""
        assert self._file is not None  # noqa: S101 - open
        os.fsync(self._file.fileno())
        self.path.replace(self.target)
        self._note.unlink(missing_ok=True)
        sync_folder(self.target.parent)

    def discard(self) -> None:
        """Remove the partial file."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _left(self) -> Origin | None:
        """Return the origin of what an earlier run left, if it is part of the same file."""
        try:
            note = orjson.loads(self._note.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        origin = (
            Origin(self.origin.sha256, str(note.get("validator", ""))) if isinstance(note, dict) else None
        )
        return origin if origin is not None and note.get("sha256") == origin.sha256 else None


def no_space(target: Path, why: str) -> FetchError:
    """Return the error of a disk that has no room for a file."""
    return FetchError(f"no room for {target}: {why}; free some space, or choose another folder with --folder")
