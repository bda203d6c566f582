"""The folder of more streams beside the main file: which files count, what they say, and whether they have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from framelane.config.document import Document, parse_document
from framelane.config.keypath import Problem
from framelane.config.written import Entry, Place
from framelane.core.errors import ConfigError, Finding

if TYPE_CHECKING:
    from pathlib import Path

Fingerprint: TypeAlias = "dict[str, tuple[int, int, int]]"
"""Inode, size and time of change of each file, by name."""

_SUFFIXES = (".yaml", ".yml")


def dropin_files(folder: Path) -> list[Path]:
    """The files that count, by name; none where the folder is missing. Raises OSError where it can't be read.

    Hidden ones don't: editors and we write there first, and Kubernetes keeps the versions of a volume there, to which
    the visible names are links.
    """
    try:
        names = [path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.name[0] != "."]
    except FileNotFoundError:
        return []
    return sorted(path for path in names if not path.is_dir())


def fingerprint(folder: Path) -> Fingerprint:
    """Differs once any file has. Links are followed: a volume's new version has other inodes."""
    seen: Fingerprint = {}
    try:
        files = dropin_files(folder)
    except OSError:  # reading will say so
        return {"": (0, 0, 0)}
    for path in files:
        try:
            stat = path.stat()
        except OSError:  # gone between the two looks, or a link that leads nowhere
            seen[path.name] = 0, 0, 0
        else:
            seen[path.name] = stat.st_ino, stat.st_size, stat.st_mtime_ns
    return seen


def read_dropins(folder: Path, before: int) -> tuple[list[Entry], list[Problem]]:
    """The streams of all files in order, and what is wrong with them as YAML.

    Args:
        folder: where the files are.
        before: how many streams there are already: the first one here is `streams[before]`.

    Raises:
        ConfigError: files that can't be read, or hold neither a stream nor a list of them; all such findings.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    findings: list[Finding] = []
    try:
        files = dropin_files(folder)
    except OSError as error:
        raise ConfigError(
            [Finding("streams_dir", f"can't read {folder}: {error.strerror or error}")]
        ) from error
    for path in files:
        try:
            document = _read(path)
        except ConfigError as error:
            findings += [Finding(each.path, each.message, str(path)) for each in error.findings]
            continue
        first = len(entries)
        alone = isinstance(document.data, dict)
        entries += _entries(document, path)
        for problem in document.problems:
            below = problem.path if alone else problem.path[1:]
            index = 0 if alone or not problem.path else problem.path[0]
            if isinstance(index, int) and first + index < len(entries):
                problems.append(Problem(("streams", before + first + index, *below), problem.message))
            else:
                findings.append(Place(document, (), str(path)).finding(problem.path, problem.message))
    if findings:
        raise ConfigError(findings)
    return entries, problems


def _read(path: Path) -> Document:
    try:
        document = parse_document(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError([Finding("", f"can't be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Finding("", f"is not UTF-8 text (byte {error.start})")]) from error
    if document.data is None or isinstance(document.data, dict | list):
        return document
    raise ConfigError([Finding("", "expected a stream (a map with `id` and `url`), or a list of streams")])


def _entries(document: Document, path: Path) -> list[Entry]:
    """One stream, a list of them, or none where all is commented out."""
    if isinstance(document.data, dict):
        return [Entry(document.data, Place(document, (), str(path)))]
    streams = document.data if isinstance(document.data, list) else []
    return [Entry(stream, Place(document, (index,), str(path))) for index, stream in enumerate(streams)]
