"""Lists, changes and probes streams, for `/api/streams` and `/api/probe`."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from framelane.config.keypath import KeyPath, Node, Problem
from framelane.config.yaml.written import Entry, Place
from framelane.control.allowed_sources import forbidden_files
from framelane.control.changes import Edit
from framelane.control.public_view import shown
from framelane.control.stream_probes import StreamProbes
from framelane.core.errors import ConfigError, ConflictError, Finding, NotStoredError, UnknownStreamError
from framelane.core.redact import MASK

if TYPE_CHECKING:
    import threading

    from framelane.config.yaml.written import Written
    from framelane.control.changes import ChangeOutcome, LiveConfig
    from framelane.control.stream_folder import StreamFolder
    from framelane.control.stream_probes import Probed

Options: TypeAlias = dict[str, Any]

_MOST_DEPTH = 8
_NO_VARIABLE = "`${` begins a variable, which works only in files; write the value itself"
_NO_MASK = f"contains `{MASK}`, which replies show in place of a secret; omit this key to keep its value"


class StreamEdits:
    """Edits a live configuration.

    Args:
        live: the configuration.
        folder: the folder that persists changes; None if none is configured.
        probes: opens streams that are not configured.
    """

    def __init__(
        self, live: LiveConfig, folder: StreamFolder | None, probes: StreamProbes | None = None
    ) -> None:
        self._live = live
        self._folder = folder
        self._probes = probes or StreamProbes()

    def listed(self) -> list[Options]:
        """Return all streams, in the files' order."""
        config, written = self._live.current
        pairs = zip(config.streams, written.entries, strict=True)
        return [shown(stream, entry, self._live.path) for stream, entry in pairs]

    def shown(self, stream: str) -> Options:
        """Return one stream; raise UnknownStreamError if there is none with this id."""
        for each in self.listed():
            if each["id"] == stream:
                return each
        raise _unknown(stream)

    def reload(self) -> ChangeOutcome:
        """Read the files again; raise as LiveConfig does."""
        return self._live.reload()

    def add(self, options: Options, *, persist: bool | None) -> ChangeOutcome:
        """Add a stream.

        Raises:
            ConflictError: Its id is taken.
            NotStoredError: It can't be persisted.
            FramelaneError: As LiveConfig raises.
        """

        def make(written: Written) -> Edit:
            data, problems = self._parse(options, ("streams", len(written.entries)))
            new = Entry(data, Place(), changed=True)
            taken = [entry.place.name for entry in written.entries if entry.id == new.id]
            if taken and new.id:
                raise ConflictError(f"`{new.id}` is already the id of {taken[0]}")
            folder = self._folder_for(persist=persist)
            asked = _with(written, [*written.entries, new], problems)
            if folder is None:
                return Edit(asked, asked)
            entry, text = folder.entry(new.id, data)
            return Edit(asked, _with(written, [*written.entries, entry]), lambda: folder.write(new.id, text))

        return self._live.edit(make)

    def change(self, stream: str, options: Options, *, persist: bool | None) -> ChangeOutcome:
        """Change options of a stream.

        Raises:
            UnknownStreamError: There is no such stream.
            NotStoredError: The change can't be persisted.
            FramelaneError: As LiveConfig raises.
        """

        def make(written: Written) -> Edit:
            index, old = _find(written, stream)
            if options.get("id", stream) != stream:
                raise ConfigError([Finding("id", "can't be changed; remove the stream and add another")])
            folder = self._folder_for(old, persist=persist)
            data, problems = self._parse(options, ("streams", index))
            merged = {**_map(old.data), **_map(data)}
            asked = _put(written, index, Entry(merged, Place(), changed=True), problems)
            if folder is None:
                return Edit(asked, _put(written, index, Entry(merged, old.place, changed=True)))
            entry, text = folder.entry(stream, merged)
            return Edit(asked, _put(written, index, entry), lambda: folder.write(stream, text))

        return self._live.edit(make)

    def remove(self, stream: str, *, persist: bool | None) -> ChangeOutcome:
        """Remove a stream; raise as `change` does."""

        def make(written: Written) -> Edit:
            index, old = _find(written, stream)
            folder = self._folder_for(old, persist=persist)
            left = _with(written, [*written.entries[:index], *written.entries[index + 1 :]])
            if folder is None:
                return Edit(left, left)
            return Edit(left, left, lambda: folder.delete(stream))

        return self._live.edit(make)

    def probe(self, options: Options, gone: threading.Event | None = None) -> Probed:
        """Open a stream as if it had been added, for a few seconds; nothing changes.

        Args:
            options: as for `add`; `id` is ignored.
            gone: set once nobody waits for the outcome any more.

        Raises:
            ConfigError: It could not be added with these options.
            BusyError: Too many probes are in progress.
        """
        written = self._live.written
        taken = {entry.id for entry in written.entries}
        name = next(each for each in map("probe-{}".format, count()) if each not in taken)
        data, problems = self._parse({**options, "id": name}, ("streams", len(written.entries)))
        asked = _with(written, [*written.entries, Entry(data, Place(), changed=True)], problems)
        return self._probes.run(self._live.check(asked).streams[-1], gone)

    def _parse(self, options: Options, path: KeyPath) -> tuple[Node, list[Problem]]:
        """Return options as the loader reads them, and problems that only a request can have."""
        data, problems = _plain(options, path)
        folders = self._live.config.http.nameable_folders
        if folders is not None:
            problems += forbidden_files(options, path, folders, self._live.path.absolute().parent)
        return data, problems

    def _folder_for(self, entry: Entry | None = None, *, persist: bool | None) -> StreamFolder | None:
        """Return the folder that persists a change; None to not persist it, the default without a folder."""
        if persist is None:
            persist = self._folder is not None
        if not persist:
            return None
        if self._folder is None:
            raise NotStoredError("there is no folder to persist it in; set `streams_dir`, or omit `persist`")
        if entry is None or entry.place.document is None:
            return self._folder
        file = entry.place.file
        if file and Path(file) == self._folder.file_of(entry.id) and self._folder.owns(Path(file)):
            return self._folder
        raise NotStoredError(
            f"`{entry.id}` is in {file or self._live.path}, which is written by hand: change it there, "
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
    """Return JSON as the loader reads YAML, with text for scalars; bad values become null and a problem."""
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
