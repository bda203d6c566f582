"""Streams listed and changed by hand, one at a time: what `/api/streams` asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from framelane.config.keypath import KeyPath, Node, Problem
from framelane.config.written import Entry, Place
from framelane.core.errors import ConfigError, ConflictError, Finding, UnknownStreamError
from framelane.core.redact import MASK
from framelane.live.changes import Edit
from framelane.live.shown import shown

if TYPE_CHECKING:
    from framelane.config.written import Written
    from framelane.live.changes import LiveConfig, Outcome
    from framelane.live.folder import StreamFolder

Options: TypeAlias = dict[str, Any]

_MOST_DEPTH = 8
_NO_VARIABLE = "`${` begins a variable, and these are filled in for files alone; write the value itself"
_NO_MASK = f"holds `{MASK}`, which answers show in place of a secret; leave this key out to keep what it is"


class StreamEdits:
    """Edits a live configuration.

    Args:
        live: the configuration.
        folder: where changes are made to last; None where no such folder is configured.
    """

    def __init__(self, live: LiveConfig, folder: StreamFolder | None) -> None:
        self._live = live
        self._folder = folder

    def listed(self) -> list[Options]:
        """All streams, in the files' order."""
        config, written = self._live.current
        pairs = zip(config.streams, written.entries, strict=True)
        return [shown(stream, entry, self._live.path) for stream, entry in pairs]

    def shown(self, stream: str) -> Options:
        """One stream; raises UnknownStreamError."""
        for each in self.listed():
            if each["id"] == stream:
                return each
        raise _unknown(stream)

    def reload(self) -> Outcome:
        """Read the files again; raises as LiveConfig does."""
        return self._live.reload()

    def add(self, options: Options, *, persist: bool | None) -> Outcome:
        """Add a stream.

        Raises:
            ConflictError: its id is taken, or it can't be persisted.
            FramelaneError: as LiveConfig raises.
        """

        def make(written: Written) -> Edit:
            data, problems = _plain(options, ("streams", len(written.entries)))
            new = Entry(data, Place(), changed=True)
            taken = [entry.place.name for entry in written.entries if entry.id == new.id]
            if taken and new.id:
                raise ConflictError(f"`{new.id}` is the id of {taken[0]} already")
            folder = self._folder_for(persist=persist)
            asked = _with(written, [*written.entries, new], problems)
            if folder is None:
                return Edit(asked, asked)
            entry, text = folder.entry(new.id, data)
            return Edit(asked, _with(written, [*written.entries, entry]), lambda: folder.write(new.id, text))

        return self._live.edit(make)

    def change(self, stream: str, options: Options, *, persist: bool | None) -> Outcome:
        """Give options of a stream new values.

        Raises:
            UnknownStreamError: there is no such stream.
            ConflictError: it can't be persisted.
            FramelaneError: as LiveConfig raises.
        """

        def make(written: Written) -> Edit:
            index, old = _find(written, stream)
            if options.get("id", stream) != stream:
                raise ConfigError([Finding("id", "can't be changed; remove the stream and add another")])
            folder = self._folder_for(old, persist=persist)
            data, problems = _plain(options, ("streams", index))
            merged = {**_map(old.data), **_map(data)}
            asked = _put(written, index, Entry(merged, Place(), changed=True), problems)
            if folder is None:
                return Edit(asked, _put(written, index, Entry(merged, old.place, changed=True)))
            entry, text = folder.entry(stream, merged)
            return Edit(asked, _put(written, index, entry), lambda: folder.write(stream, text))

        return self._live.edit(make)

    def remove(self, stream: str, *, persist: bool | None) -> Outcome:
        """Remove a stream; raises as `change` does."""

        def make(written: Written) -> Edit:
            index, old = _find(written, stream)
            folder = self._folder_for(old, persist=persist)
            left = _with(written, [*written.entries[:index], *written.entries[index + 1 :]])
            if folder is None:
                return Edit(left, left)
            return Edit(left, left, lambda: folder.delete(stream))

        return self._live.edit(make)

    def _folder_for(self, entry: Entry | None = None, *, persist: bool | None) -> StreamFolder | None:
        """Where a change is kept, None where it isn't; by default it is, if there is a folder."""
        if persist is None:
            persist = self._folder is not None
        if not persist:
            return None
        if self._folder is None:
            raise ConflictError("there is no folder to keep it in; set `streams_dir`, or leave `persist` out")
        if entry is None or entry.place.document is None:
            return self._folder
        file = entry.place.file
        if file and Path(file) == self._folder.file_of(entry.id) and self._folder.owns(Path(file)):
            return self._folder
        raise ConflictError(
            f"`{entry.id}` stands in {file or self._live.path}, which is written by hand: change it there, "
            "or add ?persist=false for a change that lasts until that file is read again"
        )


def _find(written: Written, stream: str) -> tuple[int, Entry]:
    for index, entry in enumerate(written.entries):
        if entry.id == stream:
            return index, entry
    raise _unknown(stream)


def _unknown(stream: str) -> UnknownStreamError:
    return UnknownStreamError(f"no stream has the id `{stream}`")


def _put(written: Written, index: int, entry: Entry, problems: list[Problem] | None = None) -> Written:
    entries = list(written.entries)
    entries[index] = entry
    return _with(written, entries, problems)


def _with(written: Written, entries: list[Entry], problems: list[Problem] | None = None) -> Written:
    return replace(written, entries=tuple(entries), problems=tuple(problems or ()))


def _map(data: Node) -> dict[str, Node]:
    return data if isinstance(data, dict) else {}


def _plain(value: Any, path: KeyPath, depth: int = 0) -> tuple[Node, list[Problem]]:  # noqa: ANN401 - JSON
    """JSON as the loader takes YAML: scalars are text but for null. What can't be taken becomes null and a problem."""
    if depth > _MOST_DEPTH:
        return None, [Problem(path, "is nested too deeply")]
    if isinstance(value, dict | list):
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
        items = {key: _plain(item, (*path, key), depth + 1) for key, item in pairs}
        problems = [problem for _, found in items.values() for problem in found]
        if isinstance(value, dict):
            return {str(key): node for key, (node, _) in items.items()}, problems
        return [node for node, _ in items.values()], problems
    if isinstance(value, str):
        wrong = next((text for mark, text in (("${", _NO_VARIABLE), (MASK, _NO_MASK)) if mark in value), None)
        return (value, []) if wrong is None else (None, [Problem(path, wrong)])
    return None if value is None else orjson.dumps(value).decode(), []
