"""What the journal remembers besides events: counters, open objects, retained topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping


class FactKey(NamedTuple):
    """The kind of a fact, and names that tell it from others of its kind."""

    kind: str
    names: tuple[str, ...]


class Facts:
    """All facts as the journal's thread knows them, and which of them the disk does not have yet."""

    def __init__(self) -> None:
        self._values: dict[FactKey, bytes] = {}
        self._unsaved: dict[FactKey, None] = {}

    def put(self, key: FactKey, value: object) -> None:
        """Remember a value; anything that JSON can hold, or a dataclass."""
        self._values[key] = orjson.dumps(value)
        self._unsaved[key] = None

    def drop(self, key: FactKey) -> None:
        """Forget a fact."""
        if self._values.pop(key, None) is not None:
            self._unsaved[key] = None

    def load(self, stored: Mapping[FactKey, bytes]) -> None:
        """Take the facts of the disk; those of this process are newer."""
        self._values = {**stored, **self._values}

    def unsaved(self) -> dict[FactKey, bytes | None]:
        """Return what to write; None to delete."""
        return {key: self._values.get(key) for key in self._unsaved}

    def saved(self) -> None:
        """Note that the disk has everything."""
        self._unsaved.clear()

    def begin_again(self) -> None:
        """Note that the disk has nothing: there is a new file."""
        self._unsaved = dict.fromkeys(self._values)
