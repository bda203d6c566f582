"""What files say before it is checked: one file's sections, and all streams, each with its place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from framelane.config.keypath import KeyPath, Node, Problem, dotted, parsed
from framelane.core.errors import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from framelane.config.document import Document


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written.

    Attributes:
        document: the file's content, which knows lines; None for what no file says.
        path: where in the file it begins.
        file: the file; empty for the main one, and for what no file says.
    """

    document: Document | None = None
    path: KeyPath = ()
    file: str = ""

    @property
    def name(self) -> str:
        """For an operator: `streams[0]`, `streams.d/gate.yaml` or `streams.d/gate.yaml [1]`."""
        return f"{self.file} {dotted(self.path)}".strip() or "one that was added over HTTP"

    def finding(self, path: KeyPath, message: str) -> Finding:
        """A finding at a path below this place."""
        whole = (*self.path, *path)
        return Finding(dotted(whole), message, self.file, self.mark(path)[0])

    def mark(self, path: KeyPath) -> tuple[int, int]:
        """Line and column of a path below this place."""
        return (0, 0) if self.document is None else self.document.mark((*self.path, *path))


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream as it is written.

    Attributes:
        data: its options as plain data, variables not filled in.
        place: where.
        changed: whether it has been changed since, and its file hasn't.
    """

    data: Node
    place: Place
    changed: bool = False

    @property
    def id(self) -> str:
        """The stream's id; empty where it has none."""
        name = self.data.get("id") if isinstance(self.data, dict) else None
        return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True)
class Written:
    """All that is written.

    Attributes:
        main: the main file.
        sections: its keys but for `streams` and those that begin with `x-`; with `streams` where that is no list.
        entries: every stream, the main file's first.
        problems: what is wrong with files as YAML; a stream's path is `streams[i]` of `entries`.
    """

    main: Document
    sections: dict[str, Node]
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = field(default=())

    @staticmethod
    def of(main: Document) -> Written:
        """What the main file says; its content must be a map."""
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
        """All of it as one file."""
        streams: dict[str, Node] = {"streams": [entry.data for entry in self.entries]} if self.entries else {}
        return {**self.sections, **streams}

    @property
    def names(self) -> list[str]:
        """What to call each stream's place."""
        return [entry.place.name for entry in self.entries]

    def with_entries(self, entries: Iterable[Entry]) -> Written:
        """The same with other streams; what was wrong with streams before is forgotten."""
        kept = [problem for problem in self.problems if problem.path[:1] != ("streams",)]
        return replace(self, entries=tuple(entries), problems=tuple(kept))

    def and_also(self, entries: Iterable[Entry], problems: Iterable[Problem]) -> Written:
        """With more streams, and what is wrong with them."""
        return replace(self, entries=(*self.entries, *entries), problems=(*self.problems, *problems))

    def finding(self, problem: Problem) -> Finding:
        """A problem as its file's reader wants to know it."""
        place, path = self._place(problem.path)
        return place.finding(path, problem.message)

    def located(self, finding: Finding) -> Finding:
        """A finding whose path counts all streams as one list, as its file's reader wants to know it."""
        return finding if finding.file else self.finding(Problem(parsed(finding.path), finding.message))

    def order(self, problem: Problem) -> tuple[str, tuple[int, int]]:
        """Sorts problems by file, and within it from top to bottom."""
        place, path = self._place(problem.path)
        return place.file, place.mark(path)

    def _place(self, path: KeyPath) -> tuple[Place, KeyPath]:
        index = path[1] if len(path) > 1 and path[0] == "streams" else None
        if isinstance(index, int) and index < len(self.entries):
            return self.entries[index].place, path[2:]
        return Place(self.main), path
