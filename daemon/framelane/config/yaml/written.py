"""The unchecked content of the files: the main file's sections, and all streams with their places."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from framelane.config.keypath import KeyPath, Node, Problem, dotted, parsed
from framelane.core.errors import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from framelane.config.yaml.document import Document


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file, or over HTTP.

    Attributes:
        document: the file's content with its lines; None for what is in no file.
        path: key path within the file.
        file: the file's name; empty for the main file and for what is in no file.
    """

    document: Document | None = None
    path: KeyPath = ()
    file: str = ""

    @property
    def name(self) -> str:
        """Return `streams[0]`, `streams.d/gate.yaml` or `streams.d/gate.yaml [1]`, for the operator."""
        return f"{self.file} {dotted(self.path)}".strip() or "a stream added over HTTP"

    def finding(self, path: KeyPath, message: str, line: int = 0) -> Finding:
        """Return a finding at a path below this place, on the path's own line unless `line` is given."""
        whole = (*self.path, *path)
        return Finding(dotted(whole), message, self.file, line or self.mark(path)[0])

    def mark(self, path: KeyPath) -> tuple[int, int]:
        """Return line and column of a path below this place."""
        return (0, 0) if self.document is None else self.document.mark((*self.path, *path))


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream as written.

    Attributes:
        data: its options as plain data, before substitution.
        place: its place.
        changed: whether it was changed at run time without changing its file.
    """

    data: Node
    place: Place
    changed: bool = False

    @property
    def id(self) -> str:
        """Return the stream's id; empty if it has none."""
        name = self.data.get("id") if isinstance(self.data, dict) else None
        return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True)
class Written:
    """The content of all files.

    Attributes:
        main: the main file.
        sections: its keys, without `x-` keys, and without `streams` unless that is malformed or empty.
        entries: all streams, the main file's first.
        problems: YAML problems; a stream's path is `streams[i]` of `entries`.
        unread: findings of files from which no streams could be read.
    """

    main: Document
    sections: dict[str, Node]
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = field(default=())
    unread: tuple[Finding, ...] = ()

    @staticmethod
    def of(main: Document) -> Written:
        """Split the main file, whose content must be a map."""
        sections = {
            key: value
            for key, value in (main.data.items() if isinstance(main.data, dict) else ())
            if not key.startswith("x-")
        }
        streams = sections.get("streams")
        if not isinstance(streams, list) or not streams:
            return Written(main, sections, (), tuple(main.problems))
        del sections["streams"]
        entries = [Entry(stream, Place(main, ("streams", index))) for index, stream in enumerate(streams)]
        return Written(main, sections, tuple(entries), tuple(main.problems))

    @property
    def data(self) -> dict[str, Node]:
        """Return everything as one file."""
        streams: dict[str, Node] = {"streams": [entry.data for entry in self.entries]} if self.entries else {}
        return {**self.sections, **streams}

    @property
    def names(self) -> list[str]:
        """Return the name of each stream's place."""
        return [entry.place.name for entry in self.entries]

    def with_entries(self, entries: Iterable[Entry]) -> Written:
        """Return a copy with other streams, without the previous streams' problems."""
        kept = [problem for problem in self.problems if problem.path[:1] != ("streams",)]
        return replace(self, entries=tuple(entries), problems=tuple(kept), unread=())

    def and_also(
        self, entries: Iterable[Entry], problems: Iterable[Problem], unread: Iterable[Finding] = ()
    ) -> Written:
        """Return a copy with more streams, their problems, and findings of unread files."""
        return replace(
            self,
            entries=(*self.entries, *entries),
            problems=(*self.problems, *problems),
            unread=(*self.unread, *unread),
        )

    def finding(self, problem: Problem) -> Finding:
        """Return a problem with its file, its path in that file and its line."""
        place, path = self._place(problem.path)
        return place.finding(path, problem.message, problem.line)

    def located(self, finding: Finding) -> Finding:
        """Turn a path that counts all streams as one list into the finding's file, path and line."""
        return finding if finding.file else self.finding(Problem(parsed(finding.path), finding.message))

    def order(self, problem: Problem) -> tuple[str, tuple[int, int]]:
        """Return a sort key: by file, then from top to bottom."""
        place, path = self._place(problem.path)
        return place.file, (problem.line, 0) if problem.line else place.mark(path)

    def _place(self, path: KeyPath) -> tuple[Place, KeyPath]:
        index = path[1] if len(path) > 1 and path[0] == "streams" else None
        if isinstance(index, int) and index < len(self.entries):
            return self.entries[index].place, path[2:]
        return Place(self.main), path
