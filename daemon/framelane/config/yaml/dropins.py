"""Reads `streams_dir`, the folder of more streams, and detects changes of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from framelane.config.keypath import Problem
from framelane.config.yaml.document import Document, parse_document
from framelane.config.yaml.written import Entry, Place
from framelane.core.errors import ConfigError, Finding
from framelane.core.text_files import decode_text

if TYPE_CHECKING:
    from pathlib import Path

Fingerprint: TypeAlias = "dict[str, tuple[int, int, int]]"
"""Inode, size and modification time (ns) of each file, by name."""

_SUFFIXES = (".yaml", ".yml")


def dropin_files(folder: Path) -> list[Path]:
    """Return the folder's YAML files, sorted by name; none if the folder is missing.

    Hidden files are ignored: editors and Framelane write to one first, and Kubernetes keeps the versions of a
    volume in hidden folders, which the visible names link to.

    Raises:
        OSError: The folder can't be read.
    """
    try:
        names = [path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.name[0] != "."]
    except FileNotFoundError:
        return []
    return sorted(path for path in names if not path.is_dir())


def fingerprint(folder: Path) -> Fingerprint:
    """Return a value that differs once a file does; links are followed: new versions have new inodes."""
    seen: Fingerprint = {}
    try:
        files = dropin_files(folder)
    except OSError:
        # Reading the folder reports it.
        return {"": (0, 0, 0)}
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            # Deleted meanwhile, or a dangling link.
            seen[path.name] = 0, 0, 0
        else:
            seen[path.name] = stat.st_ino, stat.st_size, stat.st_mtime_ns
    return seen


def read_dropins(folder: Path, before: int) -> tuple[list[Entry], list[Problem], list[Finding]]:
    """Return the streams of all files in order, their YAML problems, and findings of files without streams.

    Args:
        folder: the folder of the files.
        before: number of streams in the main file; the first one here is `streams[before]`.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    findings: list[Finding] = []
    try:
        files = dropin_files(folder)
    except OSError as error:
        message = f"can't read {folder}: {error.strerror or error}"
        return [], [Problem(("streams_dir",), message)], []
    for path in files:
        try:
            document = _read(path)
        except ConfigError as error:
            findings += [Finding(each.path, each.message, str(path), each.line) for each in error.findings]
            continue
        first = len(entries)
        alone = isinstance(document.data, dict)
        entries += _entries(document, path)
        for problem in document.problems:
            below = problem.path if alone else problem.path[1:]
            index = 0 if alone or not problem.path else problem.path[0]
            if isinstance(index, int) and first + index < len(entries):
                where = ("streams", before + first + index, *below)
                problems.append(Problem(where, problem.message, problem.line))
            else:
                place = Place(document, (), str(path))
                findings.append(place.finding(problem.path, problem.message, problem.line))
    return entries, problems, findings


def _read(path: Path) -> Document:
    try:
        document = parse_document(decode_text(path.read_bytes()))
    except OSError as error:
        raise ConfigError([Finding("", f"can't be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Finding("", f"is not UTF-8 text (byte {error.start})")]) from error
    if document.data is None or isinstance(document.data, dict | list):
        return document
    raise ConfigError([Finding("", "expected a stream (a map with `id` and `url`), or a list of streams")])


def _entries(document: Document, path: Path) -> list[Entry]:
    """Return the file's streams: one map, a list, or none if everything is commented out."""
    if isinstance(document.data, dict):
        return [Entry(document.data, Place(document, (), str(path)))]
    streams = document.data if isinstance(document.data, list) else []
    return [Entry(stream, Place(document, (index,), str(path))) for index, stream in enumerate(streams)]
